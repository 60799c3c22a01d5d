"""Keeps compiled dependencies outside of a clone, and gives them to the next clone. A copy is keyed
by everything that decides how they are compiled. It never keeps a part of this workspace.

    dependency_cache.py restore|keep ROOT CACHE
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

# Folders of a target folder that hold compiled crates.
PARTS = ("deps", "build", ".fingerprint")


def workspaces(root):
    """Each workspace with the folder of its compiled crates."""
    return [(root, "gateway"), (root / "plugins", "plugins")]


def key(workspace):
    """What decides how a dependency is compiled: compiler, versions, features, profiles, flags."""
    digest = hashlib.sha256()
    rustc = subprocess.run(["rustc", "-vV"], cwd=workspace, check=True, capture_output=True)
    digest.update(rustc.stdout)
    for name in ("Cargo.lock", "Cargo.toml"):
        digest.update(Path(workspace, name).read_bytes())
    for member in sorted(workspace.rglob("*/Cargo.toml")):
        if "target" not in member.parts and "clients" not in member.parts:
            digest.update(member.read_bytes())
    for name in sorted(os.environ):
        if name.startswith(("CARGO_PROFILE_", "RUSTFLAGS", "CARGO_BUILD_", "CC", "CFLAGS")):
            digest.update(f"{name}={os.environ[name]}\0".encode())
    return digest.hexdigest()[:16]


def own_packages(workspace):
    """Names of the workspace's packages."""
    line = ["cargo", "metadata", "--format-version", "1", "--no-deps", "--locked"]
    told = json.loads(
        subprocess.run(line, cwd=workspace, check=True, capture_output=True).stdout
    )
    return {package["name"] for package in told["packages"]}


def unit(entry):
    """The name and the hash in the name of a file or a folder: `NAME-HASH`, `NAME-HASH.rlib`."""
    name, _, unit = entry.split(".")[0].rpartition("-")
    return name, unit


def own_units(profile, packages):
    """Hashes of what was compiled of the workspace itself; its folders have the packages' names."""
    named = (unit(entry.name) for entry in (profile / ".fingerprint").iterdir())
    return {own for name, own in named if name in packages}


def link(source, target):
    """A hard link, or a copy where there can be none. Compilers write new files, never into old."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def copy(source, target, packages):
    """Copies what a target folder holds of dependencies."""
    for profile in sorted(path.parent for path in source.rglob(".fingerprint")):
        own = own_units(profile, packages)
        for part in PARTS:
            if not (profile / part).is_dir():
                continue
            place = target / profile.relative_to(source) / part
            place.mkdir(parents=True, exist_ok=True)
            for entry in (profile / part).iterdir():
                if unit(entry.name)[1] in own or unit(entry.name)[0] in packages:
                    continue
                if entry.is_dir():
                    shutil.copytree(entry, place / entry.name, symlinks=True)
                else:
                    # Cargo writes into the small files, so they are copied.
                    take = shutil.copy2 if entry.suffix == ".d" else link
                    take(entry, place / entry.name)


def restore(workspace, kept):
    target = workspace / "target"
    if kept.is_dir() and not any(target.rglob(".fingerprint")):
        print(f"==> compiled dependencies come from {kept}", file=sys.stderr)
        copy(kept, target, set())


def keep(workspace, kept):
    if kept.is_dir():
        return
    # Only the newest is kept: one has some gigabytes.
    for old in kept.parent.glob(f"{kept.name.rpartition('-')[0]}-*"):
        shutil.rmtree(old)
    half = kept.with_name(f"half-{os.getpid()}-{kept.name}")
    copy(workspace / "target", half, own_packages(workspace))
    half.rename(kept)


def main(verb, root, cache):
    for workspace, name in workspaces(Path(root)):
        kept = Path(cache) / f"dependencies-{name}-{key(workspace)}"
        {"restore": restore, "keep": keep}[verb](workspace, kept)


if __name__ == "__main__":
    main(*sys.argv[1:])
