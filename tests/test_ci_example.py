"""The workflow and the page on continuous integration: what they run is what there is."""

import re
from pathlib import Path

import pytest
import yaml

from rlvr_harness.cli import cli as command_line
from tests.small_runs import finished_run  # noqa: F401

DOCS = Path(__file__).parent.parent / "docs"
COMMENT = 65_536


@pytest.fixture(scope="module")
def steps():
    job = yaml.safe_load((DOCS / "examples/github-action.yml").read_text())["jobs"]["compare"]
    return {step.get("name", step.get("uses")): step for step in job["steps"]}


def test_the_workflow_runs_a_command_that_this_version_takes(steps):
    words = (
        re.sub(r"\\\n\s*", "", steps["Compare"]["run"]).replace('"$MODEL"', "demo/rlvr").replace('"$BASE"', "x").split()
    )
    program, name, *options = words
    assert program == "rlvr-harness"
    command = command_line.get_command(None, name)
    assert command.make_context(name, options).params["output_path"] == "runs/compare"


def script(steps):
    return re.search(r"<<'SCRIPT' > comment.md\n(.*?)\nSCRIPT", steps["Comment"]["run"], re.DOTALL)[1]


@pytest.mark.parametrize("longer", [1, 400], ids=["as it is", "too long"])
def test_the_comment_holds_the_report_or_its_beginning(steps, finished_run, tmp_path, monkeypatch, capsys, longer):  # noqa: F811
    report = (finished_run / "report.md").read_text()
    (tmp_path / "runs/compare").mkdir(parents=True)
    (tmp_path / "runs/compare/report.md").write_text(report * longer)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PAGE", "https://example.org/run")
    exec(compile(script(steps), "workflow", "exec"), {})
    comment = capsys.readouterr().out
    assert len(comment) < COMMENT
    assert "(https://example.org/run)" in comment
    assert ("(cut)" in comment) == (longer > 1)
    assert report.splitlines()[0] in comment


def test_the_rule_of_the_page_reads_the_comparison(finished_run, tmp_path, monkeypatch, capsys):  # noqa: F811
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs/compare").symlink_to(finished_run)
    monkeypatch.chdir(tmp_path)
    block = re.search(r"```python\n(.*?)```", (DOCS / "ci.md").read_text(), re.DOTALL)[1]
    try:
        exec(compile(block, "docs/ci.md", "exec"), {})
    except SystemExit as error:
        assert error.code == "the model solves fewer problems than its base"
    assert re.match(r"pass@8: model minus base [+-]0\.\d{3} \[", capsys.readouterr().out)
