"""The common part of both demos: the output and the checks of steps, an installation with its people and
agents, and the official MCP client."""

import argparse
import asyncio
import json
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback
import urllib.error
import urllib.request
from pathlib import Path

from mcp.client import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared._httpx_utils import create_mcp_http_client

BOLD, DIM, GREEN, RED, CYAN, END = ("\033[1m", "\033[2m", "\033[32m", "\033[31m", "\033[36m", "\033[0m") if sys.stdout.isatty() else ("",) * 6


class Deviation(Exception):
    """A step gave another result than the demo expects."""


def expect(condition, what):
    if not condition:
        raise Deviation(what)
    print(f"  {GREEN}✓{END} {what}")


def scene(number, title):
    print(f"\n{BOLD}{number}. {title}{END}")


def told(who, words):
    for line in str(words).rstrip().splitlines():
        print(f"  {CYAN}{who}{END} {line}")


class Installation:
    """A private folder with a home in it, keys of people beside it, and the gateway running. What it serves is the story's own."""

    def __init__(self, options):
        self.options = options
        self.place = Path(tempfile.mkdtemp(prefix="cofferdam-demo."))
        self.home, self.keys = self.place / "home", self.place / "keys"
        self.port = free_port()
        self.server = None
        self.tokens = {}

    def try_command(self, *words):
        line = [str(Path(self.options.binaries) / "cofferdam"), "--home", str(self.home), *map(str, words)]
        return subprocess.run(line, capture_output=True, text=True, timeout=120)

    def command(self, *words, ok=True, json_out=False):
        """Runs a command; returns its text (or its JSON)."""
        done = self.try_command(*(["--json"] if json_out else []), *words)
        if ok and done.returncode != 0:
            raise Deviation(f"`cofferdam {' '.join(map(str, words))}` failed:\n{done.stdout}{done.stderr}")
        if not ok and done.returncode == 0:
            raise Deviation(f"`cofferdam {' '.join(map(str, words))}` should have failed:\n{done.stdout}")
        return json.loads(done.stdout) if json_out else done.stderr + done.stdout

    def install(self, *what):
        """`init` over what is given, with people who may sign and agents who act for one of them."""
        self.keys.mkdir(mode=0o700)
        assets = Path(self.options.assets)
        self.command("init", *what, "--assets", assets, "--policy", assets / "policy-example")
        config = self.home / "cofferdam.toml"
        config.write_text(re.sub(r'(?m)^#?\s*listen = .*$', f'listen = "127.0.0.1:{self.port}"', config.read_text(), count=1))
        for person in ("alice", "bob"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", f"{person}@example.com", "-f", self.keys / person], check=True)
            self.command("approver", "add", f"{person}@example.com", "--key", self.keys / f"{person}.pub")
        for name, role in (("triage", "viewer"), ("release", "operator")):
            added = self.command("agents", "add", name, "--role", role, "--for", "alice@example.com", json_out=True)
            self.tokens[name] = added["token"]

    def serve(self, *options):
        log = open(self.place / "serve.log", "a")
        line = [str(Path(self.options.binaries) / "cofferdam"), "--home", str(self.home), "serve", *options]
        self.server = subprocess.Popen(line, stdout=log, stderr=log)
        for _ in range(600):
            if self.server.poll() is not None:
                raise Deviation("`cofferdam serve` ended:\n" + (self.place / "serve.log").read_text()[-3000:])
            try:
                with socket.create_connection(("127.0.0.1", self.port), timeout=1) as probe:
                    probe.sendall(b"GET /readyz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
                    if b" 200 " in probe.recv(200):
                        return
            except OSError:
                pass
            time.sleep(0.2)
        raise Deviation("`cofferdam serve` was not ready in two minutes")

    def stop(self):
        if self.server and self.server.poll() is None:
            self.server.send_signal(signal.SIGTERM)
            self.server.wait(timeout=60)
        self.server = None

    def agent(self, name):
        return Agent(name, f"http://127.0.0.1:{self.port}/mcp", self.tokens[name])

    def end(self):
        """Stops everything and forgets it."""
        self.stop()
        shutil.rmtree(self.place, ignore_errors=True)


class Agent:
    """An agent as the official client makes it: an address and a token."""

    def __init__(self, name, url, token):
        self.name, self.url, self.token = name, url, token

    async def __aenter__(self):
        http = create_mcp_http_client(headers={"Authorization": f"Bearer {self.token}"})
        self.client = Client(streamable_http_client(self.url, http_client=http))
        await self.client.__aenter__()
        return self

    async def __aexit__(self, *reason):
        await self.client.__aexit__(*reason)

    async def tools(self):
        return sorted(tool.name for tool in (await self.client.list_tools()).tools)

    async def call(self, tool, arguments, meta=None, quiet=False):
        if not quiet:
            told(f"{self.name} →", f"{tool} {json.dumps(arguments)}")
        answer = await self.client.call_tool(tool, arguments, meta=meta, progress_callback=unheard)
        text = "\n".join(block.text for block in answer.content if block.type == "text")
        if not quiet:
            told("       ←", text)
        return answer, text


async def unheard(progress, total, message):
    """With it the client asks for progress, and its calls are held while a person decides."""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def call_id(text):
    found = re.search(r"\b[a-z2-7]{26}\b", text)
    if not found:
        raise Deviation(f"no call id in:\n{text}")
    return found.group(0)


def plan_of(answer):
    return (answer.structured_content or {}).get("plan")


async def until_closed(stage, call, patience=15):
    """A call's story once its job is closed; `patience` in seconds."""
    view = {}
    for _ in range(patience * 10):
        # A job put into the store by hand is told once a runner has taken it: before, the ledger knows nothing of it.
        shown = stage.try_command("--json", "show", call)
        view = json.loads(shown.stdout) if shown.returncode == 0 else {}
        if (view.get("view") or {}).get("phase") == "closed":
            return view
        await asyncio.sleep(0.1)
    raise Deviation(f"the job {call} was not closed in {patience} s: {view.get('view')}")


async def left_waiting(stage, agent, name):
    """A delete that waits for a person, whose agent has gone away meanwhile."""
    calling = asyncio.create_task(agent.call("deployment_delete", {"namespace": "storefront", "name": name}, quiet=True))
    for _ in range(100):
        await asyncio.sleep(0.1)
        for waiting in stage.command("jobs", "--waiting", json_out=True)["jobs"]:
            if f"/{name}" in waiting["summary"]:
                calling.cancel()
                return waiting["job"]["call"]
    raise Deviation(f"the delete of {name} does not wait for a person")


async def refusals(stage):
    """By policy, by schema, a tool that is not there for this agent, and a body with a key twice."""
    async with stage.agent("release") as release, stage.agent("triage") as triage:
        answer, text = await release.call("deployment_scale", {"namespace": "storefront", "name": "web", "replicas": 40})
        lines = text.splitlines()
        expect(answer.is_error and len(lines) == 5 and lines[0].startswith("DENIED ") and "replicas-limit" in lines[0], "five lines, the rule in the first")
        expect(lines[1] == "Nothing was changed." and "20" in lines[3], "nothing was changed, and it says what would be allowed")
        answer, text = await release.call("deployment_scale", {"namespace": "storefront", "name": "web", "replicas": "five"})
        expect(answer.is_error and "in `replicas`" in text, "arguments that fail the schema: the argument is named")
        try:
            await triage.call("deployment_delete", {"namespace": "storefront", "name": "web"})
            raise Deviation("a hidden tool was called")
        except Deviation:
            raise
        except Exception as refused:  # noqa: BLE001 - the client's own error type
            told("       ←", f"{type(refused).__name__}: {refused}")
            expect("deployment_delete" in str(refused), "a tool it may not see does not exist for it")
    body = b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"deployment_scale","name":"deployment_delete"}}'
    request = urllib.request.Request(f"http://127.0.0.1:{stage.port}/mcp", body, {"Authorization": f"Bearer {stage.tokens['release']}", "Content-Type": "application/json", "Accept": "application/json, text/event-stream", "MCP-Protocol-Version": "2026-07-28", "Mcp-Method": "tools/call", "Mcp-Name": "deployment_scale"})
    try:
        urllib.request.urlopen(request, timeout=10)
        raise Deviation("a body with one key twice was taken")
    except urllib.error.HTTPError as refused:
        words = refused.read().decode()
        told("       ←", f"{refused.code} {words}")
        expect(refused.code == 400 and "-32700" in words, "a body in which a key is there twice is not JSON to us")


async def needs_a_person(stage, nothing_happened):
    """A delete that Bob signs, which Alice cannot; `nothing_happened` checks so while it waits. Returns the call."""
    target = {"namespace": "storefront", "name": "gift-cards-v1", "purpose": "replaced by api 2.28"}
    async with stage.agent("release") as release:
        calling = asyncio.create_task(release.call("deployment_delete", target))
        call = None
        for _ in range(100):
            await asyncio.sleep(0.1)
            waiting = stage.command("jobs", "--waiting", json_out=True)["jobs"]
            if waiting:
                call = waiting[0]["job"]["call"]
                break
        expect(call, "the call waits for a person, and nothing has happened")
        nothing_happened()
        own = stage.command("approve", call, "--key", stage.keys / "alice", "--yes", ok=False)
        told("alice:", own)
        expect("alice@example.com" in own, "the person the agent acts for cannot approve it")
        seal = stage.place / "seal"
        shown = stage.command("approve", call, "--key", stage.keys / "bob", "--yes", "--export", seal)
        told("bob:", shown)
        answer, text = await calling
    expect(not answer.is_error and call_id(text) == call, "the held call answers by itself once it was approved and done: the agent did not call again")
    statement, signature = sorted(seal.glob("*.json"))[0], sorted(seal.glob("*.sig"))[0]
    signers = stage.place / "allowed_signers"
    signers.write_text(f"bob@example.com {(stage.keys / 'bob.pub').read_text()}")
    verified = subprocess.run(["ssh-keygen", "-Y", "verify", "-f", signers, "-I", "bob@example.com", "-n", "approval@cofferdam.dev", "-s", signature], stdin=open(statement), capture_output=True, text=True)
    told("ssh-keygen:", verified.stdout + verified.stderr)
    expect(verified.returncode == 0, "`ssh-keygen -Y verify` accepts the signature")
    return call


def signed_twice(stage, call):
    again = stage.command("approve", call, "--key", stage.keys / "bob", "--yes", ok=False)
    told("again:", again)


async def same_again(stage, first_plan, patience=15):
    """The same request gives the same plan; the same key runs once. `web` has four replicas afterwards."""
    arguments = {"namespace": "storefront", "name": "web", "replicas": 5}
    key = {"cofferdam.dev/idempotency-key": "demo-1"}
    async with stage.agent("release") as release:
        answer, _ = await release.call("deployment_scale", arguments)
        expect(first_plan and plan_of(answer) == first_plan, "the same request gives the same plan digest")
        one, text_one = await release.call("deployment_scale", {**arguments, "replicas": 4}, meta=key)
        two, text_two = await release.call("deployment_scale", {**arguments, "replicas": 4}, meta=key)
        expect(call_id(text_one) == call_id(text_two), "the same key answers with the first call's outcome")
        other, text = await release.call("deployment_scale", {**arguments, "replicas": 6}, meta=key)
        expect(other.is_error, "the same key with other arguments is refused")
        await until_closed(stage, call_id(text_one), patience)


def socket_component():
    """A component that asks for a socket: an instance type without members, imported under a WASI name."""
    name = b"wasi:sockets/tcp@0.2.0"
    imports = bytes([1, 0, len(name)]) + name + bytes([5, 0])
    return b"\0asm\x0d\0\x01\0" + bytes([7, 3, 1, 0x42, 0]) + bytes([10, len(imports)]) + imports


def refused_component(stage):
    """A tool that asks for more than a pure function has."""
    bad = stage.place / "socket.wasm"
    bad.write_bytes(socket_component())
    refused = stage.command("accept", bad, ok=False)
    told("accept:", refused)
    expect("wasi:sockets/tcp@0.2.0" in refused, "a tool that imports a socket is refused, and the import is named")


def changed_ledger(stage):
    """The ledger verifies; a copy with one changed byte does not."""
    copy = stage.place / "ledger-copy"
    shutil.copytree(stage.home / "ledger", copy)
    key = stage.command("ledger", "key").strip()
    told("verify:", stage.command("ledger", "verify", copy, "--key", key))
    entries = sorted(path for path in (copy / "tile" / "entries").rglob("*") if path.is_file())[-1]
    whole = bytearray(entries.read_bytes())
    at = whole.find(b'"event"', len(whole) // 2)
    whole[at + 1] ^= 1
    entries.write_bytes(whole)
    broken = stage.command("ledger", "verify", copy, "--key", key, ok=False)
    told("verify:", broken)
    expect(re.search(r"entry \d+", broken), "one changed byte: `ledger verify` names the entry")


def client_configuration(stage):
    """The configuration of an MCP client."""
    server = {"type": "http", "url": f"http://127.0.0.1:{stage.port}/mcp", "headers": {"Authorization": f"Bearer {stage.tokens['release']}"}}
    return json.dumps({"mcpServers": {"cofferdam": server}}, indent=2)


def tell(stage, story, hints):
    """Tells a story on a stage, ends it whatever happened, and exits with 1 if a step deviated. `hints` are lines for those who stay."""
    began = time.monotonic()
    # Its end must end all of it: the gateway is a process of its own.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    try:
        asyncio.run(story(stage))
        print(f"\n{GREEN}{BOLD}Every step was as told{END} ({time.monotonic() - began:.0f} s).")
        if stage.options.stay:
            print(f"\n{BOLD}It stays up until you press Ctrl-C.{END} Paste into an MCP client:\n\n{client_configuration(stage)}\n")
            print("\n".join(f"  {line}" for line in hints(stage)))
            stage.server.wait()
    except KeyboardInterrupt:
        pass
    except Exception as fault:  # noqa: BLE001 - whatever it is, the story was not as told
        # What happens while a client is open comes wrapped in groups.
        while getattr(fault, "exceptions", None):
            fault = fault.exceptions[0]
        if not isinstance(fault, Deviation):
            traceback.print_exception(fault)
        log = stage.place / "serve.log"
        print(f"\n{RED}{BOLD}Deviation:{END} {fault}\n{DIM}{log.read_text()[-2500:] if log.exists() else ''}{END}", file=sys.stderr)
        sys.exit(1)
    finally:
        stage.end()


def arguments(words):
    """The options that both stories have; `words` is the module's text."""
    parser = argparse.ArgumentParser(description=words)
    parser.add_argument("--root", required=True)
    parser.add_argument("--binaries", required=True)
    parser.add_argument("--assets", required=True)
    parser.add_argument("--stay", action="store_true")
    return parser
