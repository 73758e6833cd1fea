"""What is shipped: the wheel and the source distribution, built here without a network."""

import subprocess
import sys
import tarfile
import zipfile
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ["rlvr_harness", "rlvr_sandbox", *sorted(path.name for path in (ROOT / "plugins").glob("rlvr_*"))]
MOST_MB = 15
"""Of the wheel: the embedded models are the largest part of it."""
SHIPPED = (
    *("pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md", "CITATION.cff", "SECURITY.md", "CONTRIBUTING.md"),
    *("rlvr_harness/demo/base/model.safetensors", "rlvr_harness/demo/rlvr/model.safetensors"),
    *("tasks/math500/README.md", "sandbox/Dockerfile", "sandbox/seccomp.json", "sandbox/rlvr_sandbox/py.typed"),
    *("plugins/rlvr_math/__init__.py", "tests/conftest.py", "docs/notebooks.md", "constraints.txt"),
)


def test_every_package_says_that_it_is_typed():
    top = {"rlvr_harness": ROOT, "rlvr_sandbox": ROOT / "sandbox"}
    assert [name for name in PACKAGES if not (top.get(name, ROOT / "plugins") / name / "py.typed").is_file()] == []


def test_citation_names_the_version_and_the_licence():
    import yaml

    from rlvr_harness import __version__

    said = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert (said["version"], said["license"], said["cff-version"]) == (__version__, "Apache-2.0", "1.2.0")
    assert said["title"] and said["message"] and said["authors"]


def build(source, target, kind):
    if find_spec("build") is None or find_spec("hatchling") is None:
        pytest.skip("needs build and hatchling: pip install 'rlvr-harness[test]'")
    command = [sys.executable, "-m", "build", f"--{kind}", "--no-isolation", "--outdir", target, source]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return next(iter(target.glob("*.whl" if kind == "wheel" else "*.tar.gz")))


@pytest.fixture(scope="module")
def sdist(tmp_path_factory):
    return build(ROOT, tmp_path_factory.mktemp("sdist"), "sdist")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    return build(ROOT, tmp_path_factory.mktemp("wheel"), "wheel")


@pytest.mark.slow
def test_the_wheel_is_small_and_holds_every_package_typed(wheel):
    assert wheel.stat().st_size < MOST_MB * 1e6
    names = set(zipfile.ZipFile(wheel).namelist())
    assert [name for name in PACKAGES if f"{name}/py.typed" not in names] == []
    assert {"rlvr_harness/demo/base/model.safetensors", "rlvr_harness/tasks/math500/math500.yaml"} <= names
    assert [name for name in names if name.startswith("tests/") or "__pycache__" in name] == []


@pytest.mark.slow
def test_the_source_distribution_holds_what_a_checkout_holds(sdist):
    with tarfile.open(sdist) as packed:
        names = {name.partition("/")[2] for name in packed.getnames()}
    assert [name for name in SHIPPED if name not in names] == []


@pytest.mark.slow
def test_a_wheel_of_the_source_distribution_equals_the_wheel_of_the_checkout(sdist, wheel, tmp_path):
    with tarfile.open(sdist) as packed:
        packed.extractall(tmp_path, filter="data")
    (source,) = (path for path in tmp_path.iterdir() if path.is_dir())
    (tmp_path / "again").mkdir()
    again = build(source, tmp_path / "again", "wheel")
    assert content(again) == content(wheel)


def content(wheel):
    """Name -> checksum of every file; the record lists the same sums again."""
    with zipfile.ZipFile(wheel) as packed:
        return {entry.filename: entry.CRC for entry in packed.infolist() if not entry.filename.endswith("/RECORD")}
