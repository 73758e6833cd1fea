"""`python -m rlvr_sandbox.image`: the sandbox's container image, made from this very Python, without a registry."""

from __future__ import annotations

import argparse
import importlib.util
import io
import os
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

from rlvr_sandbox.backends.docker import DEFAULT_IMAGE

_LEFT_OUT = {
    "site-packages",
    "dist-packages",
    "test",
    "tests",
    "idlelib",
    "tkinter",
    "turtledemo",
    "ensurepip",
    "lib2to3",
}
_FOLDERS = ("tmp", "run", "proc", "sys", "dev", "etc", "usr/local/bin")  # mount points, and where links go
_PYTHON = "usr/local/bin/python3"
_ACCOUNTS = {
    "etc/passwd": "root:x:0:0::/:/bin/false\nprogram:x:1000:1000::/tmp:/bin/false\n",
    "etc/group": "root:x:0:\nprogram:x:1000:\n",
    "etc/hosts": "127.0.0.1 localhost\n",
}


def contents(modules: Sequence[str]) -> dict[str, Path]:
    """Path in the image to file of this machine: interpreter, standard library, modules, and the libraries of these."""
    stdlib = Path(sysconfig.get_path("stdlib"))
    site = Path(sys.base_prefix) / stdlib.relative_to(sys.base_prefix) / "site-packages"
    found = {str(path): path for path in _files_below(stdlib)}
    found |= {path: Path(path) for path in (os.path.realpath(sys.executable), "/etc/ld.so.cache")}
    found |= {str(path): path for path in _files_below(Path("/usr/share/zoneinfo"))}
    for name in modules:
        for path in _module_folders(name):
            found |= {str(site / file.relative_to(path.parent)): file for file in _files_below(path)}
    binaries = [path for path in found.values() if ".so" in path.name or path.name.startswith("python")]
    # A library that is there already lies beside what needs it, here as in the image.
    found |= {str(path): path for path in _libraries(binaries) - set(found.values())}
    # By the real folder: on most systems /lib is a link to /usr/lib, and a file below a link would take its place.
    return {f"{os.path.realpath(Path(path).parent)}/{Path(path).name}": source for path, source in found.items()}


def _module_folders(name: str) -> Iterator[Path]:
    """The package, and the folder of shared libraries that its wheel brings; nothing when it is not installed."""
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.origin:
        return
    package = Path(spec.origin).parent
    yield from (path for path in (package, package.parent / f"{name}.libs") if path.is_dir())


def _files_below(folder: Path) -> Iterator[Path]:
    for path, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name not in _LEFT_OUT and not name.startswith("config-")]
        yield from (Path(path, name) for name in names)


def _libraries(binaries: Sequence[Path]) -> set[Path]:
    """Shared libraries that the dynamic loader finds for those files."""
    text = subprocess.run(["ldd", *map(str, binaries)], capture_output=True, text=True, check=False).stdout
    words = (word for line in text.splitlines() for word in line.split() if not line.endswith(":"))
    found = {Path(os.path.normpath(word)) for word in words if word.startswith("/")}
    return {path for path in found if path.is_file()}


def write_image(file: IO[bytes], modules: Sequence[str]) -> int:
    """Writes the tar file of the image's root; how many files it holds."""
    files = contents(modules)
    python = os.path.realpath(sys.executable)
    with tarfile.open(fileobj=file, mode="w") as tar:
        for folder in _FOLDERS:
            tar.addfile(_entry(folder, tarfile.DIRTYPE))
        for name, text in _ACCOUNTS.items():
            entry = _entry(name, tarfile.REGTYPE)
            entry.size = len(text)
            tar.addfile(entry, io.BytesIO(text.encode()))
        links = [Path("/", name) for name in ("lib", "lib64", "bin")]
        targets = {path.name: str(path.readlink()) for path in links if path.is_symlink()}
        for name, target in {**targets, _PYTHON: python}.items():
            entry = _entry(name, tarfile.SYMTYPE)
            entry.linkname = target
            tar.addfile(entry)
        for target, source in sorted(files.items()):
            entry = _entry(target.lstrip("/"), tarfile.REGTYPE)
            # Compiled files hold the time of their source, and are worthless with another.
            entry.size, entry.mtime = source.stat().st_size, int(source.stat().st_mtime)
            with source.open("rb") as content:
                tar.addfile(entry, content)
    return len(files)


def _entry(name: str, kind: bytes) -> tarfile.TarInfo:
    """Owned by root, readable by all."""
    entry = tarfile.TarInfo(name)
    entry.type, entry.mode = kind, 0o755
    return entry


def build(client: Any, tag: str, modules: Sequence[str]) -> tuple[int, int]:
    """Hands the image to the engine; its number of files and of bytes."""
    with tempfile.TemporaryFile() as file:
        count = write_image(file, modules)
        size = file.tell()
        file.seek(0)
        client.api.import_image(src=file, repository=tag)
    return count, size


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status: 0 done, 1 there is no engine or it refused."""
    parser = argparse.ArgumentParser(prog="python -m rlvr_sandbox.image", description=__doc__)
    parser.add_argument("--tag", default=DEFAULT_IMAGE, help=f"name of the image (default {DEFAULT_IMAGE})")
    parser.add_argument("--module", nargs="*", default=["numpy"], help="modules to put in, if installed (numpy)")
    options = parser.parse_args(arguments)
    try:
        import docker
        from requests.exceptions import RequestException
    except ImportError:
        print('error: the docker SDK is not installed: pip install "rlvr-harness[docker]"', file=sys.stderr)
        return 1
    try:
        client = docker.from_env(timeout=300)
        count, size = build(client, options.tag, options.module)
        client.close()
    except (docker.errors.DockerException, RequestException) as error:
        print(f"error: the engine did not take the image: {error}; is DOCKER_HOST right?", file=sys.stderr)
        return 1
    print(f"built {options.tag}: Python {sys.version.split()[0]}, {count:,} files, {size / 1e6:.0f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
