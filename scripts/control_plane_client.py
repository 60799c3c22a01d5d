"""The requests of scripts/control_plane.py to an API server: HTTPS of Python's own library, with the
identity of a kubeconfig. Starts no program and uses no proxy: the server is on this machine."""

import http.client
import json
import ssl
import tempfile
from base64 import b64decode, b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

# The time limit of a request, in seconds: long enough for a busy machine.
PATIENCE = 60
PATCHES = {
    "json": "application/json-patch+json",
    "merge": "application/merge-patch+json",
    "strategic": "application/strategic-merge-patch+json",
    "apply": "application/apply-patch+yaml",
}
# The field manager of the administrator's applies.
MANAGER = "control-plane"


class ClientFault(Exception):
    """The API server refused a request, or a file lacks a value."""


def kubeconfig_of(server: str, ca: bytes, user: dict[str, str], name: str) -> str:
    """A kubeconfig with everything inside, as JSON: that is YAML too, and needs no library to read."""
    cluster = {"server": server, "certificate-authority-data": b64encode(ca).decode()}
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "control-plane", "cluster": cluster}],
            "users": [{"name": name, "user": user}],
            "contexts": [{"name": name, "context": {"cluster": "control-plane", "user": name}}],
            "current-context": name,
        },
        indent=1,
    )


class Client:
    """One identity at one API server. `server` is its URL, `ca` the PEM text that vouches for it."""

    def __init__(self, kubeconfig: Path) -> None:
        try:
            config = json.loads(kubeconfig.read_text())
        except FileNotFoundError as fault:
            raise ClientFault(f"there is no `{kubeconfig}`: start the control plane with `control_plane.py up --dir DIR`") from fault
        except ValueError as fault:
            raise ClientFault(f"`{kubeconfig}` is not one that this program wrote: {fault}") from fault
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        self.server: str = cluster["server"]
        self.ca: bytes = b64decode(cluster["certificate-authority-data"])
        self.headers = {"Authorization": f"Bearer {user['token']}"} if "token" in user else {}
        self.context = ssl.create_default_context(cadata=self.ca.decode())
        if "client-key-data" in user:
            # Python takes a certificate from a file alone.
            with tempfile.NamedTemporaryFile() as pair:
                pair.write(b64decode(user["client-certificate-data"]) + b64decode(user["client-key-data"]))
                pair.flush()
                self.context.load_cert_chain(pair.name)

    def request(self, method: str, path: str, body: bytes | None = None, patch: str | None = None) -> tuple[int, Any]:
        """Status and body, the latter as JSON where it is JSON. `OSError` when there is no answer."""
        status, _, answer = self.exchange(method, path, body, patch, {})
        return status, answer

    def exchange(
        self, method: str, path: str, body: bytes | None, patch: str | None, headers: dict[str, str]
    ) -> tuple[int, dict[str, str], Any]:
        """The same with headers: of the request, besides its own, and of the answer."""
        kind = PATCHES[patch or "merge"] if method == "PATCH" else "application/json"
        place = urlsplit(self.server)
        connection = http.client.HTTPSConnection(place.hostname or "", place.port, context=self.context, timeout=PATIENCE)
        try:
            connection.request(method, path, body, {**self.headers, "Accept": "application/json", "Content-Type": kind, **headers})
            answer = connection.getresponse()
            text = answer.read().decode()
        finally:
            connection.close()
        said = {name.lower(): value for name, value in answer.getheaders()}
        try:
            return answer.status, said, json.loads(text)
        except ValueError:
            return answer.status, said, text

    def expect(self, method: str, path: str, body: Any = None, patch: str | None = None) -> Any:
        """The body of an answer that is not a refusal."""
        try:
            status, answer = self.request(method, path, None if body is None else json.dumps(body).encode(), patch)
        except OSError as fault:
            raise ClientFault(f"no answer from {self.server}: {fault}; is the control plane still up?") from fault
        if status >= 400:
            said = answer.get("message", answer) if isinstance(answer, dict) else answer
            raise ClientFault(f"{method} {path}: {status}: {said}")
        return answer

    def get(self, path: str) -> Any:
        """One object or list."""
        return self.expect("GET", path)

    def token(self, namespace: str, name: str, seconds: int) -> str:
        """A token for a ServiceAccount that the API server itself issues."""
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": seconds}}
        return self.expect("POST", f"/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token", body)["status"]["token"]

    def apply(self, paths: list[Path]) -> Iterator[str]:
        """Server-side applies every object, forced, in the order written, as an administrator's pipeline does; yields what was applied."""
        kinds: dict[str, dict[str, Any]] = {}
        for path, manifest in documents(paths):
            try:
                version, kind, name = manifest["apiVersion"], manifest["kind"], manifest["metadata"]["name"]
            except (KeyError, TypeError) as fault:
                raise ClientFault(f"`{path}`: an object without apiVersion, kind or metadata.name") from fault
            base = f"/apis/{version}" if "/" in version else f"/api/{version}"
            known = kinds.get(base, {})
            if kind not in known:
                resources = self.get(base)["resources"]
                known = kinds[base] = {found["kind"]: found for found in resources if "/" not in found["name"]}
            if kind not in known:
                raise ClientFault(f"`{path}`: the API server has no {kind} in {version}")
            resource = known[kind]
            place = f"/namespaces/{manifest['metadata'].get('namespace', 'default')}" if resource["namespaced"] else ""
            self.expect("PATCH", f"{base}{place}/{resource['name']}/{name}?fieldManager={MANAGER}&force=true", manifest, "apply")
            yield f"{resource['name']}/{name}"


def documents(paths: list[Path]) -> Iterator[tuple[Path, Any]]:
    """Every document of every file that is not empty; of folders the YAML and JSON files beneath them, by name."""
    try:
        import yaml
    except ImportError as fault:
        raise ClientFault("this Python has no PyYAML: run `scripts/setup tools` and use the Python that it made (COFFERDAM_PYTHON in tests)") from fault

    class Loader(yaml.SafeLoader):
        """As an API server reads: what looks like a time is text."""

    resolvers = yaml.SafeLoader.yaml_implicit_resolvers.items()
    Loader.yaml_implicit_resolvers = {first: [(tag, form) for tag, form in some if not tag.endswith(":timestamp")] for first, some in resolvers}
    for path in paths:
        files = sorted(file for file in path.rglob("*") if file.suffix in {".yaml", ".yml", ".json"}) if path.is_dir() else [path]
        for file in files:
            try:
                yield from ((file, document) for document in yaml.load_all(file.read_text(), Loader) if document is not None)
            except (OSError, yaml.YAMLError) as fault:
                raise ClientFault(f"`{file}` cannot be read: {fault}") from fault
