#!/usr/bin/env python3
"""A real Kubernetes control plane on loopback, as a test tool: etcd, kube-apiserver and
kube-controller-manager with certificates, Node and RBAC authorization, admission and an audit log.
Without `--node` it has no scheduler and no node: a test writes the status of a pod itself. Never for
production: it has one administrator and no backup, and deletes all data at the end.

    control_plane.py up --dir DIR --audit                        start; prints `ready DIR/admin.kubeconfig`, ends with standard input
    control_plane.py up --dir DIR --stay                         the same, until it is told to end (Ctrl-C, SIGTERM)
    control_plane.py up --dir DIR --node                         with one real node (scheduler, containerd, kubelet); needs root
    control_plane.py apply --dir DIR deploy/                     apply manifests as the administrator
    control_plane.py kubeconfig --dir DIR --serviceaccount shop/runner > runner.kubeconfig
    control_plane.py get --dir DIR /api/v1/namespaces/default    an object, as JSON
    control_plane.py request --dir DIR --kubeconfig runner.kubeconfig DELETE /api/v1/namespaces/default

The binaries come from `scripts/setup control-plane`, those of the node from
`scripts/setup control-plane node`. `apply` needs PyYAML, which `scripts/setup tools` installs into its
Python environment.
"""

import argparse
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import control_node
from control_plane_client import Client, ClientFault, kubeconfig_of
from control_plane_parts import Fault, Plane, outdated_token

HERE = Path(__file__).resolve().parent
UNITS = {"s": 1, "m": 60, "h": 3600}


class Ended(Exception):
    """The control plane is asked to end."""


def version() -> str:
    """The pinned version, `1.36.3`: the wrapper module's go.mod alone decides it."""
    found = re.search(r"k8s\.io/kubernetes v(\S+)", (HERE / "control-plane" / "go.mod").read_text())
    assert found, "scripts/control-plane/go.mod does not require k8s.io/kubernetes"
    return found.group(1)


def default_binaries() -> Path:
    """The folder of the binaries: COFFERDAM_CONTROL_PLANE, or that of `scripts/setup control-plane`."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(os.environ.get("COFFERDAM_CONTROL_PLANE") or cache / "cofferdam" / f"control-plane-{version()}")


def end_with_standard_input() -> None:
    """Turns the end of standard input into SIGTERM, so that the control plane ends with its parent."""

    def watch() -> None:
        while os.read(0, 4096):
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()


def end_on_signals() -> None:
    def end(*_: object) -> None:
        # One request to end is enough: a second must not interrupt the cleaning up.
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        raise Ended

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, end)


def up(options: argparse.Namespace) -> None:
    folder = Path(options.dir).absolute()
    binaries = Path(options.binaries or default_binaries())
    if options.inside is not None:
        control_node.reap_for_a_child()
        return stay_up(control_node.NodePlane(folder, binaries, options.audit, options.inside), stay=False)
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise Fault(f"`{folder}` is not empty; a control plane starts from nothing: name a new folder")
    try:
        if not options.node:
            return stay_up(Plane(folder, binaries, options.audit), options.stay)
        status = around_node(options)
        if status:
            sys.exit(status)
    finally:
        if options.remove:
            shutil.rmtree(folder, ignore_errors=True)


def around_node(options: argparse.Namespace) -> int:
    """The same program with its node, in namespaces of its own; this one only watches it."""

    def wait_for_end(inside: subprocess.Popen[bytes]) -> None:
        if not options.stay:
            end_with_standard_input()
        inside.wait()

    try:
        end_on_signals()
        return control_node.around(options, wait_for_end)
    except Ended:
        return 0


def stay_up(plane: Plane, stay: bool) -> None:
    """Starts the control plane, prints `ready`, and returns at the request to end."""
    try:
        end_on_signals()
        if not stay:
            end_with_standard_input()
        plane.start()
        print(f"ready {plane.kubeconfig}", flush=True)
        while True:
            plane.check()
            time.sleep(0.2)
    except Ended:
        pass
    finally:
        plane.stop()


def client(options: argparse.Namespace) -> Client:
    return Client(Path(getattr(options, "kubeconfig", None) or Path(options.dir, "admin.kubeconfig")))


def kubeconfig(options: argparse.Namespace) -> None:
    namespace, _, name = options.serviceaccount.partition("/")
    number, unit = options.duration[:-1], options.duration[-1:]
    if not (namespace and name) or unit not in UNITS or not number.isdigit():
        raise Fault("write `--serviceaccount NAMESPACE/NAME`, and a `--duration` as `24h`, `30m` or `600s`")
    admin = client(options)
    token = admin.token(namespace, name, int(number) * UNITS[unit])
    print(kubeconfig_of(admin.server, admin.ca, {"token": token}, options.serviceaccount.replace("/", "-")))


def outdated(options: argparse.Namespace) -> None:
    print(outdated_token(Path(options.dir, "pki"), options.token))


def apply(options: argparse.Namespace) -> None:
    for done in client(options).apply([Path(path) for path in options.paths]):
        print(done)


def get(options: argparse.Namespace) -> None:
    print(json.dumps(client(options).get(options.path), indent=1))


def request(options: argparse.Namespace) -> None:
    body = sys.stdin.read() if options.body == "-" else options.body
    headers = dict(header.split(": ", 1) for header in options.header)
    status, said, answer = client(options).exchange(options.method, options.path, body.encode() if body else None, options.type, headers)
    print(json.dumps({"status": status, "headers": said, "body": answer}))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="control_plane.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(act: Callable[[argparse.Namespace], None], words: str) -> argparse.ArgumentParser:
        added = commands.add_parser(act.__name__, help=words, description=words)
        added.set_defaults(act=act)
        added.add_argument("--dir", required=True, help="folder of this control plane: credentials, logs, audit log")
        return added

    def identity(added: argparse.ArgumentParser) -> None:
        added.add_argument("--kubeconfig", help="act as the identity in this file instead of the administrator")

    start = command(up, "start etcd, kube-apiserver and kube-controller-manager, and stay until standard input is closed")
    start.add_argument("--binaries", help="folder of the binaries (default: COFFERDAM_CONTROL_PLANE, or where scripts/setup puts them)")
    start.add_argument("--audit", action="store_true", help="write every request, dry runs too, to DIR/audit.log: one JSON event a line, without bodies but the options of deletes")
    start.add_argument("--stay", action="store_true", help="do not end with standard input, only by a signal")
    start.add_argument("--node", action="store_true", help="with one real node, in namespaces of its own (Linux, root, control groups of version 1); DIR/images.json names images that it has")
    start.add_argument("--inside", type=int, help=argparse.SUPPRESS)
    start.add_argument("--remove", action="store_true", help="remove DIR at the end")

    account = command(kubeconfig, "print a kubeconfig for a ServiceAccount, with a token from TokenRequest")
    account.add_argument("--serviceaccount", required=True, metavar="NAMESPACE/NAME")
    account.add_argument("--duration", default="24h", help="how long the token lives: 600s is the least (default: %(default)s)")

    ended = command(outdated, "print the same ServiceAccount token as it would be an hour after its end")
    ended.add_argument("token", metavar="TOKEN")

    manifests = command(apply, "server-side apply manifests in the order given; does not wait for what they start")
    manifests.add_argument("paths", nargs="+", metavar="FILE", help="YAML or JSON, of one or more documents; a folder stands for its files in order of name")
    identity(manifests)

    read = command(get, "print one object or list; fails when the API server refuses")
    read.add_argument("path", metavar="PATH", help="as in `/api/v1/namespaces/default`")
    identity(read)

    raw = command(request, 'make any request; prints {"status": ..., "headers": ..., "body": ...} and succeeds whenever there is an answer')
    raw.add_argument("method", metavar="METHOD")
    raw.add_argument("path", metavar="PATH")
    raw.add_argument("body", nargs="?", metavar="BODY", help="JSON; `-` reads it from standard input")
    raw.add_argument("--header", action="append", default=[], metavar="'NAME: VALUE'", help="one more header; may be given again")
    raw.add_argument("--type", choices=["json", "merge", "strategic", "apply"], help="kind of a PATCH (default: merge)")
    identity(raw)
    return parser.parse_args()


if __name__ == "__main__":
    asked = arguments()
    try:
        asked.act(asked)
    except (Fault, ClientFault) as fault:
        sys.exit(f"error: {fault}")
