"""One real node for scripts/control_plane.py: kube-scheduler, containerd and kubelet. The control plane
and the node run in namespaces of their own (network, mounts, processes, control groups). They do not
change the network, the kernel settings or the groups of the machine, and all of them end with the first
process. From outside only the API server's port can be reached, through a socket that was opened there.
Needs root; never for production.

    control_node.py                    reports if this machine can run a node; fails with the cause if not"""

import argparse
import json
import os
import platform
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from control_plane_client import Client
from control_plane_image import write_image
from control_plane_parts import Fault, Plane, certify, dying_with_us

NAME = "node"
BRIDGE, ADDRESS, SUBNET = "cni0", "10.88.0.1", "10.88.0.0/24"
GROUP = "cofferdam-node."
HIERARCHIES = Path("/sys/fs/cgroup")
# Folders of the machine that containerd, its plugins and the kubelet write to wherever they are told to: empty ones of our own lie over them.
COVERED = ["/run", "/var/lib", "/var/log"]
# The kubelet writes these, and no namespace keeps them apart: it finds what it wants, in files of ours, and writes nothing.
SETTINGS = {
    "vm/overcommit_memory": 1,
    "vm/panic_on_oom": 0,
    "kernel/panic": 10,
    "kernel/panic_on_oops": 1,
    "kernel/keys/root_maxkeys": 1000000,
    "kernel/keys/root_maxbytes": 25000000,
}
SOCKET = "/run/containerd/containerd.sock"
PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
# Begins a command in namespaces of its own.
INSIDE = ["unshare", "--net", "--mount", "--pid", "--cgroup", "--ipc", "--uts", "--fork", "--kill-child", "--mount-proc"]
# The time in which the inner process may kill its children before it is killed.
LEAVING = 20


# The actions of a node, tried in temporary namespaces: interfaces, mounts, image layers, a control group.
TRIAL = f"""set -e
ip link set lo up
ip link add {BRIDGE} type bridge
ip link add here type veth peer name there
ip link set here master {BRIDGE}
mount -t tmpfs tmpfs /run
mkdir /run/lower /run/upper /run/work /run/layers /run/memory
mount -t overlay overlay -o lowerdir=/run/lower,upperdir=/run/upper,workdir=/run/work /run/layers
mount -t cgroup -o memory cgroup /run/memory
mkdir /run/memory/trial
rmdir /run/memory/trial
touch /run/setting
mount --bind /run/setting /proc/sys/vm/overcommit_memory"""


class Groups:
    """A control group of ours in each hierarchy, beneath the one this process is in; version 1 alone."""

    def __init__(self) -> None:
        self.name = f"{GROUP}{os.getpid()}"
        self.places: list[Path] = []
        for line in Path("/proc/self/cgroup").read_text().splitlines():
            _, names, path = line.split(":", 2)
            home = HIERARCHIES / (names.removeprefix("name=") or "unified") / path.lstrip("/")
            if names and home.is_dir():
                self.places.append(home / self.name)
        if not any(place.is_relative_to(HIERARCHIES / "memory") for place in self.places):
            raise Fault("the node needs control groups of version 1 with the memory controller (only those have been tried); this machine has none")

    def make(self) -> None:
        for place in self.places:
            for left in place.parent.glob(f"{GROUP}*"):
                if not Path("/proc", left.name.removeprefix(GROUP)).exists():
                    remove_group(left)
            place.mkdir()
            # A new group has neither processors nor memory, and takes no process.
            for file in ("cpuset.cpus", "cpuset.mems"):
                if (place / file).exists():
                    (place / file).write_text((place.parent / file).read_text())

    def enter(self) -> None:
        for place in self.places:
            (place / "cgroup.procs").write_text(str(os.getpid()))

    def remove(self) -> None:
        for place in self.places:
            remove_group(place)


def remove_group(group: Path) -> None:
    """With its groups. The kernel lets go of the dead some time after they died."""
    for below in sorted(group.rglob("*"), reverse=True):
        if below.is_dir():
            remove_group(below)
    for _ in range(50):
        try:
            return group.rmdir()
        except FileNotFoundError:
            return
        except OSError:
            time.sleep(0.1)


def checked() -> Groups:
    """What can be seen from outside to be there."""
    if platform.system() != "Linux" or platform.machine() != "x86_64":
        raise Fault(f"a node needs Linux on x86_64; this is {platform.system()} on {platform.machine()}")
    if os.geteuid() != 0:
        raise Fault("a node needs root: it makes namespaces, control groups and containers")
    for program in ("unshare", "ip", "mount"):
        if not shutil.which(program):
            raise Fault(f"`{program}` is missing; install util-linux, mount and iproute2")
    return Groups()


def probe() -> None:
    """True if this machine can run a node. Tries each requirement, and leaves nothing behind."""
    groups = checked()
    try:
        groups.make()
        tried = subprocess.run([*INSIDE, "sh", "-c", TRIAL], stdin=subprocess.DEVNULL, capture_output=True, text=True, preexec_fn=groups.enter, timeout=60)
    except (OSError, subprocess.SubprocessError) as fault:
        raise Fault(f"a node's namespaces cannot be made here: {fault}") from fault
    finally:
        groups.remove()
    if tried.returncode:
        raise Fault(f"a node cannot be set up here: {(tried.stderr or tried.stdout).strip()}")


def around(options: argparse.Namespace, wait_for_end: Callable[[subprocess.Popen[bytes]], None]) -> int:
    """Starts this program again, inside; returns its status when it ended, and leaves nothing of it."""
    groups = checked()
    died_with_us = dying_with_us()

    def enter() -> None:
        died_with_us()
        groups.enter()

    with socket.create_server(("127.0.0.1", 0), backlog=128) as door:
        words = [*INSIDE, sys.executable, *sys.argv, "--inside", str(door.fileno())]
        inside = None
        try:
            groups.make()
            inside = subprocess.Popen(words, stdin=subprocess.PIPE, pass_fds=[door.fileno()], start_new_session=True, preexec_fn=enter)
            wait_for_end(inside)
        finally:
            if inside and inside.stdin:
                inside.stdin.close()
                try:
                    inside.wait(LEAVING)
                except subprocess.TimeoutExpired:
                    inside.kill()
            status = inside.wait() if inside else 1
            groups.remove()
    return status


def reap_for_a_child() -> None:
    """The first process of a process namespace inherits processes that lost their parent; this returns in a child of it, whose end ends everything."""
    child = os.fork()
    if not child:
        return
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    while True:
        pid, status = os.wait()
        if pid == child:
            os._exit(os.waitstatus_to_exitcode(status) & 0xFF)


class NodePlane(Plane):
    """A control plane with a node, inside namespaces that [`around`] made. `door` is the number of the socket outside."""

    def __init__(self, folder: Path, binaries: Path, audit: bool, door: int) -> None:
        super().__init__(folder, binaries, audit)
        self.door = socket.socket(fileno=door)
        self.port = self.door.getsockname()[1]
        self.parts = binaries / "node"
        if any(folder.is_relative_to(covered) for covered in COVERED):
            raise Fault(f"`{folder}` is beneath a folder that the node covers ({', '.join(COVERED)}); name another")

    def ports(self) -> list[int]:
        # All are free in here; the API server has the same port in here and outside.
        others = [port for port in range(20001, 20005) if port != self.port]
        return [others[0], others[1], self.port, others[2]]

    def program(self, name: str) -> str:
        for place in ("usr/bin", "usr/sbin", "bin"):
            if os.access(self.parts / place / name, os.X_OK):
                return str(self.parts / place / name)
        if name in ("kubelet", "kube-scheduler", "containerd", "runc", "ctr", "busybox") and not os.access(self.binaries / name, os.X_OK):
            raise Fault(f"there is no `{name}` in `{self.binaries}`: run `scripts/setup control-plane node`")
        return super().program(name)

    def start(self) -> None:
        """Returns when the node is ready for Pods."""
        programs = {name: self.program(name) for name in ("kube-scheduler", "containerd", "runc", "ctr", "busybox", "kubelet")}
        furnish(self.folder)
        threading.Thread(target=self.relay, daemon=True).start()
        pki = self.folder / "pki"
        self.api_also = {
            "kubelet-client-certificate": pki / "admin.crt",
            "kubelet-client-key": pki / "admin.key",
            "kubelet-certificate-authority": pki / "ca.crt",
            "kubelet-preferred-address-types": "InternalIP",
        }
        super().start()
        (pki / "node.ext").write_text(
            "basicConstraints=critical,CA:false\nkeyUsage=critical,digitalSignature\n"
            f"extendedKeyUsage=clientAuth,serverAuth\nsubjectAltName=IP:{ADDRESS}\n"
        )
        certify(pki, 11, "scheduler", "/CN=system:kube-scheduler", "client.ext")
        certify(pki, 12, NAME, f"/O=system:nodes/CN=system:node:{NAME}", "node.ext")
        for name in ("scheduler", NAME):
            self.kubeconfig_for(name, self.port, pki / f"{name}.kubeconfig")
        self.start_scheduler(programs["kube-scheduler"])
        self.start_containerd(programs)
        self.start_kubelet(programs["kubelet"])

    def start_scheduler(self, program: str) -> None:
        pki = self.folder / "pki"
        flags = {
            "kubeconfig": pki / "scheduler.kubeconfig",
            "leader-elect": "false",
            "bind-address": "127.0.0.1",
            "secure-port": 20005,
            "tls-cert-file": pki / "serving.crt",
            "tls-private-key-file": pki / "serving.key",
        }
        self.spawn("kube-scheduler", program, flags)

    def start_containerd(self, programs: dict[str, str]) -> None:
        home = self.folder / "node"
        pause = write_image(home / "pause.tar", "cofferdam.test/pause", Path(programs["busybox"]), ["/bin/busybox", "sleep", "2147483647"])
        task = write_image(home / "task.tar", "cofferdam.test/task", Path(programs["busybox"]), ["/bin/busybox"])
        (home / "cni").mkdir()
        network = {"type": "bridge", "bridge": BRIDGE, "isGateway": True, "ipMasq": False, "ipam": {"type": "host-local", "subnet": SUBNET}}
        (home / "cni" / "net.conflist").write_text(json.dumps({"cniVersion": "0.4.0", "name": "node", "plugins": [network]}))
        (home / "containerd.toml").write_text(containerd_configuration(home, self.parts, programs["runc"], pause))
        (self.folder / "images.json").write_text(json.dumps({"task": task}))
        libraries = ":".join(map(str, self.parts.glob("usr/lib/*-linux-gnu")))
        environment = {"PATH": f"{self.parts}/usr/bin:{self.parts}/usr/sbin:{PATH}", "LD_LIBRARY_PATH": libraries}
        self.spawn("containerd", programs["containerd"], {"config": home / "containerd.toml"}, environment)
        ctr = [programs["ctr"], "--address", SOCKET, "--namespace", "k8s.io"]
        self.wait("containerd", lambda: run_quietly([*ctr, "version"]))
        for name in ("pause", "task"):
            run([*ctr, "images", "import", str(home / f"{name}.tar")])

    def start_kubelet(self, program: str) -> None:
        home, pki = self.folder / "node", self.folder / "pki"
        (home / "resolv.conf").write_text("")
        (home / "kubelet.json").write_text(json.dumps(kubelet_configuration(home, pki)))
        flags = {
            "config": home / "kubelet.json",
            "kubeconfig": pki / f"{NAME}.kubeconfig",
            "hostname-override": NAME,
            "node-ip": ADDRESS,
            "root-dir": home / "kubelet",
            "cert-dir": home / "kubelet-pki",
        }
        self.spawn("kubelet", program, flags, {"PATH": PATH})
        admin = Client(self.kubeconfig)

        def ready() -> bool:
            status, node = admin.request("GET", f"/api/v1/nodes/{NAME}")
            conditions = node.get("status", {}).get("conditions", []) if status == 200 else []
            is_ready = any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)
            return is_ready and not node["spec"].get("taints")

        self.wait("kubelet", ready)

    def relay(self) -> None:
        """Passes each connection from outside on to the API server."""
        while True:
            outer, _ = self.door.accept()
            try:
                inner = socket.create_connection(("127.0.0.1", self.port))
            except OSError:
                outer.close()
                continue
            for source, sink in ((outer, inner), (inner, outer)):
                threading.Thread(target=pump, args=(source, sink), daemon=True).start()


def pump(source: socket.socket, sink: socket.socket) -> None:
    try:
        while read := source.recv(1 << 16):
            sink.sendall(read)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        for end in (source, sink):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


def furnish(folder: Path) -> None:
    """Makes the namespaces habitable: interfaces, folders, kernel settings, control groups."""
    for words in (
        "link set lo up",
        f"link add {BRIDGE} type bridge",
        f"address add {ADDRESS}/24 dev {BRIDGE}",
        f"link set {BRIDGE} up",
    ):
        run(["ip", *words.split()])
    for covered in COVERED:
        run(["mount", "-t", "tmpfs", "tmpfs", covered])
    settings = folder / "settings"
    settings.mkdir()
    (folder / "node").mkdir()
    for name, value in SETTINGS.items():
        if Path("/proc/sys", name).exists():
            file = settings / name.replace("/", ".")
            file.write_text(f"{value}\n")
            run(["mount", "--bind", str(file), f"/proc/sys/{name}"])
    names = [line.split(":")[1] for line in Path("/proc/self/cgroup").read_text().splitlines()]
    run(["mount", "-t", "tmpfs", "tmpfs", str(HIERARCHIES)])
    for name in filter(None, names):
        place = HIERARCHIES / name.removeprefix("name=")
        place.mkdir()
        run(["mount", "-t", "cgroup", "-o", f"none,{name}" if name.startswith("name=") else name, "cgroup", str(place)])


def containerd_configuration(home: Path, parts: Path, runc: str, pause: str) -> str:
    plugins = "io.containerd.grpc.v1.cri"
    # JSON's strings are TOML's.
    text: Callable[[object], str] = lambda value: json.dumps(str(value))
    return f"""version = 2
root = {text(home / "containerd")}
state = "/run/containerd"
[grpc]
address = {text(SOCKET)}
[plugins."io.containerd.internal.v1.opt"]
path = {text(home / "opt")}
[plugins."{plugins}"]
sandbox_image = {text(pause)}
disable_apparmor = true
# Without CAP_SYS_RESOURCE no process can have a lower score than this one.
restrict_oom_score_adj = true
[plugins."{plugins}".cni]
bin_dir = {text(parts / "usr/lib/cni")}
conf_dir = {text(home / "cni")}
[plugins."{plugins}".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
[plugins."{plugins}".containerd.runtimes.runc.options]
BinaryName = {text(runc)}
SystemdCgroup = false
"""


def kubelet_configuration(home: Path, pki: Path) -> dict[str, object]:
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": ADDRESS,
        "authentication": {"anonymous": {"enabled": False}, "webhook": {"enabled": False}, "x509": {"clientCAFile": str(pki / "ca.crt")}},
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": str(pki / f"{NAME}.crt"),
        "tlsPrivateKeyFile": str(pki / f"{NAME}.key"),
        "containerRuntimeEndpoint": f"unix://{SOCKET}",
        "failCgroupV1": False,
        "cgroupDriver": "cgroupfs",
        "cgroupsPerQOS": False,
        "enforceNodeAllocatable": [],
        "failSwapOn": False,
        "makeIPTablesUtilChains": False,
        "oomScoreAdj": 0,
        "podLogsDir": str(home / "logs"),
        "volumePluginDir": str(home / "volume-plugins"),
        "resolvConf": str(home / "resolv.conf"),
        # The tests do not depend on a full disk of the machine.
        "evictionHard": {"memory.available": "50Mi", "nodefs.available": "1%", "nodefs.inodesFree": "1%", "imagefs.available": "1%"},
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
    }


def run(words: list[str]) -> None:
    done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode:
        raise Fault(f"`{' '.join(words)}` failed: {done.stderr.strip() or done.stdout.strip()}")


def run_quietly(words: list[str]) -> bool:
    return subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True).returncode == 0


if __name__ == "__main__":
    try:
        probe()
    except Fault as why_not:
        sys.exit(f"{why_not}")
