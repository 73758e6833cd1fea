"""`new-plugin`: what it writes and refuses; and, slow, the guide's own commands on a plugin that it wrote."""

import ast
import json
import os
import re
import shutil
import site
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

import rlvr_harness
from rlvr_harness import starting_plugins
from rlvr_harness.errors import UsageError

ROOT = Path(__file__).parent.parent
TEMPLATE = ROOT / "plugins" / "template"
EXAMPLES = ROOT / "examples" / "plugins"
OUTSIDERS = sorted(path for top in (TEMPLATE, EXAMPLES) for path in top.rglob("rlvr_*/*.py"))
NAMES = ("x", "my-sums", "my_sums2", "a-very-long-name-of-thirty-cha")


def files_of(folder):
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_called_template_any_more(tmp_path, name):
    starting_plugins.start(name, tmp_path / "new")
    files = files_of(tmp_path / "new")
    assert len(files) >= 12
    assert [path for path, text in files.items() if "template" in (path + text).lower()] == []


def test_distribution_package_and_entry_point_are_named_after_it(tmp_path):
    starting_plugins.start("my-sums", tmp_path / "new")
    files = files_of(tmp_path / "new")
    assert 'name = "rlvr-harness-my-sums"' in files["pyproject.toml"]
    assert 'my_sums = "rlvr_my_sums"' in files["pyproject.toml"]
    assert 'name = "my_sums"' in files["rlvr_my_sums/task.py"]
    assert "rlvr-harness validate my_sums" in files[".github/workflows/test.yml"]


@pytest.mark.parametrize("name", NAMES)
def test_the_copy_is_as_well_formed_as_the_template(tmp_path, name):
    starting_plugins.start(name, tmp_path / "new")
    for command in (["check"], ["format", "--check"]):
        ruff = [sys.executable, "-m", "ruff", *command, "--no-cache", "."]
        done = subprocess.run(ruff, cwd=tmp_path / "new", capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout


def test_the_copy_of_the_template_under_its_own_name_is_the_template(tmp_path):
    starting_plugins.start("template", tmp_path / "new")
    copied = files_of(tmp_path / "new")
    assert {path: (TEMPLATE / path).read_text() for path in copied} == copied


def test_the_next_steps_are_those_of_the_guide(tmp_path):
    told = [line.strip() for line in starting_plugins.start("my-sums", tmp_path / "rlvr-harness-my-sums")[2:]]
    assert told[1:] == guide_commands()[2:7]
    assert told[0].startswith("cd ") and told[0].endswith("rlvr-harness-my-sums")


def test_the_command_writes_beside_where_it_is_called(tmp_path, cli, monkeypatch):
    monkeypatch.chdir(tmp_path)
    status, out, _ = cli("new-plugin", "my_sums")
    assert status == 0
    assert out.startswith("wrote rlvr-harness-my-sums: ")
    assert (tmp_path / "rlvr-harness-my-sums" / "rlvr_my_sums" / "task.py").is_file()


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("2sums", "cannot name a plugin"),
        ("my sums", "cannot name a plugin"),
        ("My", "cannot name a plugin"),
        ("sums-", "cannot name a plugin"),
        ("größe", "cannot name a plugin"),
        ("../sums", "cannot name a plugin"),
        ("", "cannot name a plugin"),
        ("a" * 31, "cannot name a plugin"),
        ("math", "plugin 'math' is installed already, from rlvr-harness"),
        ("lm-eval", "plugin 'lm_eval' is installed already"),
        ("harness", "a package rlvr_harness is installed already"),
        ("gsm8k", "plugin 'math' offers a task of that name"),
        ("math-strict", None),
    ],
)
def test_a_bad_or_taken_name_is_one_line(tmp_path, cli, name, why):
    status, _, err = cli("new-plugin", name, "-o", tmp_path / "new")
    if why is None:
        assert status == 0
        return
    assert status == 2 and err.count("\n") == 1
    assert err.startswith("error: ") and why in err
    assert not (tmp_path / "new").exists()


def test_a_folder_in_use_is_left_alone(tmp_path):
    (tmp_path / "file").write_text("mine")
    for target in (tmp_path, tmp_path / "file"):
        with pytest.raises(UsageError, match="exists and is no empty folder; choose another with -o"):
            starting_plugins.start("my-sums", target)
    assert files_of(tmp_path) == {"file": "mine"}


def test_a_folder_that_cannot_be_is_one_line(tmp_path, cli):
    status, _, err = cli("new-plugin", "my-sums", "-o", tmp_path / ("a" * 300))
    assert (status, err.count("\n")) == (2, 1)
    assert "cannot write the plugin: File name too long; choose another -o" in err


def test_what_work_leaves_in_the_template_is_not_copied(tmp_path, monkeypatch):
    worked_on = shutil.copytree(
        TEMPLATE, tmp_path / "template", ignore=shutil.ignore_patterns("__pycache__", ".*_cache")
    )
    for name in (".venv312/lib/x.py", "rlvr_harness_template.egg-info/PKG-INFO", "runs/first/run.json", "dist/x.whl"):
        (worked_on / name).parent.mkdir(parents=True)
        (worked_on / name).write_bytes(b"\xff")
    monkeypatch.setattr(starting_plugins, "template_folder", lambda: worked_on)
    starting_plugins.start("my-sums", tmp_path / "new")
    copied = {path.replace("my_sums", "template") for path in files_of(tmp_path / "new")}
    assert copied == {str(path.relative_to(worked_on)) for path in worked_on.rglob("*") if path.is_file()} - {
        *(".venv312/lib/x.py", "rlvr_harness_template.egg-info/PKG-INFO", "runs/first/run.json", "dist/x.whl")
    }


def test_an_empty_folder_will_do(tmp_path):
    starting_plugins.start("my-sums", tmp_path)
    assert (tmp_path / "pyproject.toml").is_file()


@pytest.mark.parametrize("path", OUTSIDERS, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_outsiders_import_only_public_names(path):
    package = path.relative_to(TEMPLATE if path.is_relative_to(TEMPLATE) else EXAMPLES).parts[-2]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("rlvr_"):
            assert node.module.partition(".")[0] in ("rlvr_harness", package)
            if node.module.startswith("rlvr_harness"):
                assert node.module == "rlvr_harness"
                assert {alias.name for alias in node.names} <= set(rlvr_harness.__all__)
        assert not (isinstance(node, ast.Import) and any(alias.name.startswith("rlvr_harness") for alias in node.names))


def test_the_harness_itself_does_not_list_them():
    entry_points = (ROOT / "pyproject.toml").read_text().partition("[project.entry-points.rlvr_harness]")[2]
    listed = entry_points.partition("\n[")[0]
    assert not [name for name in ("template", "sql", "sample_efficiency") if f"rlvr_{name}" in listed]


def shell_block(path):
    return re.search(r"^```sh\n(.*?)^```$", path.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)[1]


def guide_commands():
    return shell_block(ROOT / "docs" / "plugins.md").splitlines()


@pytest.fixture
def transcript(tmp_path):
    """transcript(script, folder) -> stdout of the shell script, in an environment of its own that sees this one's."""
    pytest.importorskip("hatchling", reason="building a distribution without a network needs hatchling")
    environment = tmp_path / "environment"
    venv.create(environment, symlinks=True)
    purelib = Path(sysconfig.get_path("purelib", vars={"base": str(environment), "platbase": str(environment)}))
    seen = [*filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep)), *site.getsitepackages()]
    lines = [f"import site; site.addsitedir({folder!r})\n" for folder in seen]
    (purelib / "seen.pth").write_text("".join(lines))
    for name, module in (("rlvr-harness", "rlvr_harness"), ("pip", "pip"), ("pytest", "pytest")):
        command = environment / "bin" / name
        command.write_text(f'#!/bin/sh\nexec "{environment}/bin/python" -m {module} "$@"\n')
        command.chmod(0o755)
    paths = os.pathsep.join([str(environment / "bin"), os.environ["PATH"]])
    offline = {"PIP_NO_INDEX": "1", "PIP_NO_BUILD_ISOLATION": "0", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    variables = {**os.environ, **offline, "PATH": paths, "PIP_ROOT_USER_ACTION": "ignore"}
    variables.pop("PYTHONPATH", None)
    variables.pop("RLVR_HARNESS_PLUGINS", None)

    def run(script, folder):
        command = ["bash", "-euo", "pipefail", "-c", script]
        done = subprocess.run(command, cwd=folder, env=variables, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


def results_of(folder):
    return json.loads((folder / "results.json").read_text(encoding="utf-8"))


@pytest.mark.slow
def test_the_guide_makes_a_plugin_that_builds_installs_passes_its_tests_and_runs(tmp_path, transcript):
    out = transcript("\n".join(guide_commands()), tmp_path)
    plugin = tmp_path / "rlvr-harness-my-sums"
    offers = "tasks my_sums; verifiers my_sums; metrics my_sums_solved; report sections my_sums_solved"
    assert f"my_sums\trlvr-harness-my-sums 0.1.0 (rlvr_my_sums): {offers}" in out.splitlines()
    entry = results_of(plugin / "runs" / "first")["tasks"]["my_sums"]["models"]["model"]
    assert (entry["samples"], entry["void"]) == (32, 0)
    assert entry["plugin_metrics"]["my_sums_solved"]["problems"] == 4
    assert "Problems solved at least once</h3>" in (plugin / "runs" / "first" / "report.html").read_text()
    assert list((plugin / "dist").glob("rlvr_harness_my_sums-0.1.0-*.whl"))
    installed = transcript("pip uninstall -y -q rlvr-harness-my-sums && pip install --no-deps dist/*.whl", plugin)
    assert "Successfully installed rlvr-harness-my-sums-0.1.0" in installed
    assert "my_sums\trlvr-harness-my-sums 0.1.0" in transcript("rlvr-harness ls plugins", tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["sql", "sample-efficiency"])
def test_an_example_builds_installs_passes_its_tests_and_runs_as_its_readme_says(tmp_path, transcript, name):
    folder = shutil.copytree(EXAMPLES / name, tmp_path / name)
    out = transcript(shell_block(folder / "README.md"), folder)
    assert f"rlvr-harness-{name} 0.1.0" in out
    for task, entry in results_of(folder / "runs" / "first")["tasks"].items():
        for model in entry["models"].values():
            assert model["samples"] == 32 and model["void"] == 0
            if name == "sql":
                assert task == "sql"
            else:
                assert 1 <= model["plugin_metrics"]["sample_efficiency"]["mean"]["8"]["value"] <= 8
    page = (folder / "runs" / "first" / "report.html").read_text()
    assert ("Samples until the first right answer</h3>" in page) == (name == "sample-efficiency")
