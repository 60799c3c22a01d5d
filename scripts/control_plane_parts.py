"""The three processes of scripts/control_plane.py: certificates, flags, start and end. They listen on
loopback only, on ports of this run, and never outlive the launcher."""

import ctypes
import fcntl
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from base64 import b64encode, urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from pathlib import Path

from control_plane_client import Client, ClientFault, kubeconfig_of

# The time limit for the start of a component; an idle machine needs a second or two.
PATIENCE = 180
# How often to start again when another process took a port between our choosing and the component's listening.
ATTEMPTS = 4
# etcd waits for the disk on every write, and 3.4 has no switch for that; with this much room in memory its data goes there.
MEMORY = Path("/dev/shm")
MEMORY_NEEDED = 1 << 30
MEMORY_PREFIX = "cofferdam-etcd."
PR_SET_PDEATHSIG = 1
LOG_TAIL = 25
# The options of a delete stand in its body: without it a dry run looks like a deletion.
AUDIT_POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [{"level": "Request", "verbs": ["delete"]}, {"level": "Metadata"}],
}


class Fault(Exception):
    """The control plane did not start, or ended early. The text has the cause and the remedy."""


class Plane:
    """The processes, beneath one folder: `pki/`, `logs/`, `audit.log`, `admin.kubeconfig`."""

    def __init__(self, folder: Path, binaries: Path, audit: bool) -> None:
        self.folder, self.binaries, self.audit = folder, binaries, audit
        self.kubeconfig = folder / "admin.kubeconfig"
        # What the API server is told besides.
        self.api_also: dict[str, object] = {}
        self.children: dict[str, subprocess.Popen[bytes]] = {}
        self.data: Path | None = None
        self.lock: int | None = None

    def start(self) -> None:
        """Starts everything; returns when the API server and the controllers do their work."""
        programs = {name: self.program(name) for name in ("etcd", "kube-apiserver", "kube-controller-manager")}
        (self.folder / "pki").mkdir()
        (self.folder / "logs").mkdir()
        write_certificates(self.folder / "pki")
        (self.folder / "audit-policy.yaml").write_text(json.dumps(AUDIT_POLICY))
        for attempt in range(ATTEMPTS):
            try:
                return self.start_on(self.ports(), programs)
            except Fault as fault:
                self.stop()
                if "address already in use" not in str(fault) or attempt == ATTEMPTS - 1:
                    raise

    def ports(self) -> list[int]:
        """Of etcd, its peers, the API server and the controllers."""
        return free_ports(4)

    def start_on(self, ports: list[int], programs: dict[str, str]) -> None:
        etcd, peer, api, controllers = ports
        pki = self.folder / "pki"
        self.make_data()
        self.kubeconfig_for("admin", api, self.kubeconfig)
        self.kubeconfig_for("controller-manager", api, pki / "controller-manager.kubeconfig")

        self.spawn("etcd", programs["etcd"], etcd_flags(self.data, etcd, peer))
        self.wait("etcd", lambda: answers(etcd))
        self.spawn("kube-apiserver", programs["kube-apiserver"], api_flags(self.folder, etcd, api, self.audit) | self.api_also)
        self.wait("kube-apiserver", lambda: Client(self.kubeconfig).request("GET", "/readyz")[0] == 200)
        self.spawn("kube-controller-manager", programs["kube-controller-manager"], controller_flags(pki, controllers))
        # It serves our certificate, so that a stranger on its port cannot answer for it.
        healthy = Client(self.kubeconfig)
        healthy.server = f"https://127.0.0.1:{controllers}"
        self.wait("kube-controller-manager", lambda: healthy.request("GET", "/healthz")[0] == 200)
        # Its controllers start one by one: they work once they have given the first namespaces their ServiceAccounts.
        for namespace in ("kube-system", "default"):
            account = f"/api/v1/namespaces/{namespace}/serviceaccounts/default"
            self.wait("kube-controller-manager", lambda account=account: Client(self.kubeconfig).request("GET", account)[0] == 200)

    def program(self, name: str) -> str:
        """Where a binary is; etcd may also be on the path."""
        own = self.binaries / name
        found = str(own) if os.access(own, os.X_OK) else shutil.which(name) if name == "etcd" else None
        if not found:
            raise Fault(f"there is no `{name}` in `{self.binaries}`: run `scripts/setup control-plane` (about ten minutes on two cores, once)")
        return found

    def make_data(self) -> None:
        """A folder for etcd: in memory if there is room. A lock says that it is in use, so that the next run removes what a killed one left."""
        home = self.folder
        if MEMORY.is_dir() and os.access(MEMORY, os.W_OK):
            for left in MEMORY.glob(f"{MEMORY_PREFIX}*"):
                remove_unless_locked(left)
            if shutil.disk_usage(MEMORY).free >= MEMORY_NEEDED:
                home = MEMORY
        while self.data is None:
            made = Path(tempfile.mkdtemp(prefix=MEMORY_PREFIX, dir=home))
            try:
                lock = os.open(made, os.O_RDONLY | os.O_DIRECTORY)
            except FileNotFoundError:
                continue
            fcntl.flock(lock, fcntl.LOCK_EX)
            # Another run may have taken it for a leftover before it was locked.
            if made.exists():
                self.data, self.lock = made, lock
            else:
                os.close(lock)

    def kubeconfig_for(self, name: str, port: int, path: Path) -> None:
        pki = self.folder / "pki"
        parts = {"client-certificate-data": f"{name}.crt", "client-key-data": f"{name}.key"}
        user = {key: b64encode((pki / file).read_bytes()).decode() for key, file in parts.items()}
        path.touch(mode=0o600)
        path.write_text(kubeconfig_of(f"https://127.0.0.1:{port}", (pki / "ca.crt").read_bytes(), user, name))

    def spawn(self, name: str, program: str, flags: dict[str, object], environment: dict[str, str] | None = None) -> None:
        """Starts a component: its own session, nothing of our environment, its log in a file, and dead when we are."""
        words = [program, *(f"--{flag}={value}" for flag, value in flags.items())]
        with open(self.log(name), "wb") as log:
            self.children[name] = subprocess.Popen(
                words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder, env=environment or {}, start_new_session=True, preexec_fn=dying_with_us()
            )

    def log(self, name: str) -> Path:
        return self.folder / "logs" / f"{name}.log"

    def wait(self, name: str, ready: Callable[[], bool]) -> None:
        """Until it is ready; a fault when any component ends, or when it takes too long."""
        end = time.monotonic() + PATIENCE
        while True:
            self.check()
            try:
                if ready():
                    return
            except (OSError, ClientFault):
                pass  # not listening yet
            if time.monotonic() > end:
                raise Fault(f"{name} was not ready in {PATIENCE} seconds; the end of {self.log(name)}:\n{self.tail(name)}")
            time.sleep(0.05)

    def check(self) -> None:
        """A fault when a component has ended."""
        for name, child in self.children.items():
            status = child.poll()
            if status is not None:
                raise Fault(f"{name} ended ({status}); the end of {self.log(name)}:\n{self.tail(name)}")

    def tail(self, name: str) -> str:
        return "\n".join(self.log(name).read_text(errors="replace").splitlines()[-LOG_TAIL:])

    def stop(self) -> None:
        """Kills what was started and removes etcd's data. Nothing here is to be kept, so SIGKILL is enough."""
        for child in self.children.values():
            child.kill()
        for child in self.children.values():
            child.wait()
        self.children = {}
        if self.data:
            shutil.rmtree(self.data, ignore_errors=True)
        if self.lock is not None:
            os.close(self.lock)
        self.data = self.lock = None


def dying_with_us() -> Callable[[], None]:
    """What a child does first, so that it is killed when this process ends, however it ends."""
    us, prctl = os.getpid(), getattr(ctypes.CDLL(None), "prctl", None)

    def die_with_us() -> None:
        if prctl:
            prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != us:
                os._exit(1)

    return die_with_us


def etcd_flags(data: Path | None, port: int, peer: int) -> dict[str, object]:
    client, other = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{peer}"
    return {
        "data-dir": data,
        "listen-client-urls": client,
        "advertise-client-urls": client,
        "listen-peer-urls": other,
        "initial-advertise-peer-urls": other,
        "initial-cluster": f"default={other}",
    }


def api_flags(folder: Path, etcd: int, port: int, audit: bool) -> dict[str, object]:
    """PodSecurity, ResourceQuota, LimitRanger, NamespaceLifecycle, ServiceAccount and ValidatingAdmissionPolicy are on by default."""
    pki = folder / "pki"
    flags: dict[str, object] = {
        "etcd-servers": f"http://127.0.0.1:{etcd}",
        "bind-address": "127.0.0.1",
        "advertise-address": "127.0.0.1",
        "secure-port": port,
        # No endpoint may be a loopback address; nothing here reaches the API server through a Service.
        "endpoint-reconciler-type": "none",
        "tls-cert-file": pki / "serving.crt",
        "tls-private-key-file": pki / "serving.key",
        "client-ca-file": pki / "ca.crt",
        "anonymous-auth": "false",
        "authorization-mode": "Node,RBAC",
        "enable-admission-plugins": "NodeRestriction",
        "allow-privileged": "false",
        "service-account-issuer": f"https://127.0.0.1:{port}/",
        # As most clusters name it; the fences know this name (deploy/14-fence-runs.yaml).
        "api-audiences": "https://kubernetes.default.svc.cluster.local",
        "service-account-key-file": pki / "sa.pub",
        "service-account-signing-key-file": pki / "sa.key",
        "service-cluster-ip-range": "10.0.0.0/24",
    }
    if audit:
        flags |= {"audit-policy-file": folder / "audit-policy.yaml", "audit-log-path": folder / "audit.log", "audit-log-maxsize": 4096}
    return flags


def controller_flags(pki: Path, port: int) -> dict[str, object]:
    """Every controller but those that want nodes or a cloud; each acts as its own ServiceAccount, as admission policies expect."""
    without = ["node-ipam", "node-route", "service-lb", "cloud-node-lifecycle", "persistentvolume-attach-detach"]
    return {
        "kubeconfig": pki / "controller-manager.kubeconfig",
        "bind-address": "127.0.0.1",
        "secure-port": port,
        "tls-cert-file": pki / "serving.crt",
        "tls-private-key-file": pki / "serving.key",
        "root-ca-file": pki / "ca.crt",
        "service-account-private-key-file": pki / "sa.key",
        "use-service-account-credentials": "true",
        "leader-elect": "false",
        "controllers": ",".join(["*", *(f"-{name}-controller" for name in without)]),
        # Ten times the default, so that tests which remove many namespaces wait for the namespaces and not for the client's own throttle.
        "kube-api-qps": 200,
        "kube-api-burst": 400,
    }


def write_certificates(pki: Path) -> None:
    """A CA of this run's own, a serving certificate, client certificates, and the key that signs ServiceAccount tokens. ECDSA P-256, two days."""
    names = "DNS:localhost,DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,IP:127.0.0.1,IP:10.0.0.1"
    # A configuration of our own: the machine's may add extensions, or be missing.
    (pki / "openssl.cnf").write_text("[req]\ndistinguished_name = none\n[none]\n")
    (pki / "ca.ext").write_text("basicConstraints=critical,CA:true\nkeyUsage=critical,keyCertSign,cRLSign\nsubjectKeyIdentifier=hash\n")
    leaf = "basicConstraints=critical,CA:false\nkeyUsage=critical,digitalSignature\n"
    (pki / "serving.ext").write_text(f"{leaf}extendedKeyUsage=serverAuth\nsubjectAltName={names}\n")
    (pki / "client.ext").write_text(f"{leaf}extendedKeyUsage=clientAuth\n")
    certify(pki, 1, "ca", "/CN=control-plane-ca", "ca.ext")
    certify(pki, 2, "serving", "/CN=kube-apiserver", "serving.ext")
    certify(pki, 3, "admin", "/O=system:masters/CN=admin", "client.ext")
    certify(pki, 4, "controller-manager", "/CN=system:kube-controller-manager", "client.ext")
    new_key(pki, "sa")
    openssl(pki, "pkey", "-in", "sa.key", "-pubout", "-out", "sa.pub")


def certify(pki: Path, serial: int, name: str, subject: str, extensions: str) -> None:
    """A key and the CA's certificate for it; the CA's own is its first."""
    new_key(pki, name)
    openssl(pki, "req", "-new", "-config", "openssl.cnf", "-key", f"{name}.key", "-subj", subject, "-out", f"{name}.csr")
    words = ["-in", f"{name}.csr", "-out", f"{name}.crt", "-extfile", extensions, "-days", "2", "-sha256", "-set_serial", str(serial)]
    openssl(pki, "x509", "-req", *words, *(["-signkey", "ca.key"] if name == "ca" else ["-CA", "ca.crt", "-CAkey", "ca.key"]))


def new_key(pki: Path, name: str) -> None:
    openssl(pki, "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", f"{name}.key")


def openssl(pki: Path, *words: str) -> None:
    try:
        subprocess.run(["openssl", *words], cwd=pki, check=True, capture_output=True, text=True)
    except FileNotFoundError as fault:
        raise Fault("`openssl` is missing; install it (Debian: openssl)") from fault
    except subprocess.CalledProcessError as fault:
        raise Fault(f"`openssl {words[0]}` failed: {fault.stderr}") from fault


def outdated_token(pki: Path, token: str) -> str:
    """The same ServiceAccount token, signed again with the key that the API server trusts, which ended an hour ago (RFC 7519; ES256, RFC 7518, 3.4)."""
    head, body, _ = token.split(".")
    claims = json.loads(urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    now = int(time.time())
    claims |= {"iat": now - 7200, "nbf": now - 7200, "exp": now - 3600}
    signed = f"{head}.{unpadded(json.dumps(claims).encode())}"
    words = ["openssl", "dgst", "-sha256", "-sign", str(pki / "sa.key")]
    der = subprocess.run(words, input=signed.encode(), check=True, capture_output=True).stdout
    # SEQUENCE { INTEGER r, INTEGER s }, both shorter than 128 bytes: a token has the two side by side, 32 bytes each.
    first = 4 + der[3]
    numbers = [der[4:first], der[first + 2 : first + 2 + der[first + 1]]]
    return f"{signed}.{unpadded(b''.join(number.lstrip(bytes(1)).rjust(32, bytes(1)) for number in numbers))}"


def unpadded(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def free_ports(count: int) -> list[int]:
    """Ports that are free now; all are held until all are chosen, so that they differ."""
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in held]
    for one in held:
        one.close()
    return ports


def answers(port: int) -> bool:
    """Whether etcd there can take a write."""
    import http.client

    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/health")
        return b'"true"' in connection.getresponse().read()
    finally:
        connection.close()


def remove_unless_locked(left: Path) -> None:
    try:
        lock = os.open(left, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        return
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(left, ignore_errors=True)
        print(f"removed `{left}`, left by a control plane that was killed", file=sys.stderr)
    except OSError:
        pass  # in use
    finally:
        os.close(lock)
