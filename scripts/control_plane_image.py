"""Container images of a single static program, written as OCI layouts, without a registry or a build
tool. The same program gives the same bytes and the same digest. Starts no program."""

import hashlib
import io
import json
import tarfile
from pathlib import Path


def write_image(path: Path, repository: str, program: Path, entry: list[str]) -> str:
    """An archive for `ctr images import` whose one image runs busybox; returns its reference, by digest."""
    config = {"Entrypoint": entry, "Env": ["PATH=/bin"], "WorkingDir": "/"}
    layer = layer_of(program)
    described = {
        "architecture": "amd64",
        "os": "linux",
        "config": config,
        "rootfs": {"type": "layers", "diff_ids": [digest(layer)]},
    }
    blobs: dict[str, bytes] = {}

    def blob(kind: str, content: bytes) -> dict[str, object]:
        blobs[f"blobs/sha256/{digest(content).removeprefix('sha256:')}"] = content
        return {"mediaType": f"application/vnd.oci.image.{kind}", "digest": digest(content), "size": len(content)}

    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": blob("config.v1+json", text(described)),
        "layers": [blob("layer.v1.tar", layer)],
    }
    entry_of_index = blob("manifest.v1+json", text(manifest))
    reference = f"{repository}@{entry_of_index['digest']}"
    entry_of_index["annotations"] = {"io.containerd.image.name": reference}
    files = {"oci-layout": text({"imageLayoutVersion": "1.0.0"}), "index.json": text({"schemaVersion": 2, "manifests": [entry_of_index]}), **blobs}
    path.write_bytes(archive({name: (content, 0o644) for name, content in files.items()}))
    return reference


def layer_of(program: Path) -> bytes:
    """The program as `/bin/busybox`, and what it is called by."""
    return archive({"bin/busybox": (program.read_bytes(), 0o755)}, {f"bin/{name}": "busybox" for name in ("sh", "cat", "sleep", "touch", "ls")})


def archive(files: dict[str, tuple[bytes, int]], links: dict[str, str] | None = None) -> bytes:
    """A tar archive without anything of this machine or moment."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, (content, mode) in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(content), mode
            tar.addfile(member, io.BytesIO(content))
        for name, target in (links or {}).items():
            member = tarfile.TarInfo(name)
            member.type, member.linkname = tarfile.SYMTYPE, target
            tar.addfile(member)
    return made.getvalue()


def text(value: object) -> bytes:
    return json.dumps(value, sort_keys=True).encode()


def digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"
