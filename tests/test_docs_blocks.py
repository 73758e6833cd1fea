"""Every command and code block of README and docs parses; those that can run here do (slow part)."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
import yaml

from rlvr_harness.cli import cli as root
from tests.docs_blocks import (
    KNOWN,
    PAGES,
    ROOT,
    RUN,
    SHELL,
    Block,
    blocks_of,
    calls_in,
    calls_in_shell,
    fault_of,
    marked,
    page_blocks,
    spans_of,
)
from tests.small_runs import finished_run  # noqa: F401

BLOCKS = [block for page in PAGES for block in page_blocks(page)]
RUNNING = sorted({block.page for block in BLOCKS if block.runs})
GENERATED = "docs/command-line.md"
"""Made from the command line itself, with usage lines that are no calls."""
PREPARED = "runs/first"
"""A finished run of the embedded pair that pages may take for granted; the page that makes it begins without it."""


def by_place(blocks):
    return pytest.mark.parametrize("block", [pytest.param(block, id=block.place) for block in blocks])


@by_place(BLOCKS)
def test_a_block_has_a_language_that_is_known_and_only_code_has_marks(block):
    assert block.language in KNOWN
    assert block.mark in ("", "file") or block.language in {*RUN, "sql"}


@by_place([block for block in BLOCKS if block.mark == "run by"])
def test_a_file_that_is_said_to_run_a_block_names_its_page(block):
    assert Path(block.page).name in (ROOT / block.told).read_text(encoding="utf-8")


@by_place([block for block in BLOCKS if block.page != GENERATED and calls_in(block)])
def test_every_call_of_the_command_names_what_exists(block):
    assert [fault for words in calls_in(block) if (fault := fault_of(words, root))] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_call_in_a_sentence_names_what_exists(page):
    calls = [words for span in spans_of(page.read_text(encoding="utf-8")) for words in calls_in_shell(span)]
    assert [(words, fault) for words in calls if (fault := fault_of(words, root))] == []


@by_place([block for block in BLOCKS if block.language == "python"])
def test_python_compiles(block):
    compile(block.text, block.place, "exec")


@by_place([block for block in BLOCKS if block.language in ("yaml", "json")])
def test_data_parses(block):
    loaded = json.loads(block.text) if block.language == "json" else list(yaml.safe_load_all(block.text))
    assert loaded


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        ("run --model M --base B -o DIR", None),
        ("check-verifier FILE.jsonl --data-dir D", None),
        ("reward serve --port 5000", None),
        ("export DIR --format lm-eval", None),
        ("export DIR --format lm_evil", "'lm_evil' is none of"),
        ("export DIR --format FORMAT", None),
        ("runn --model M", "no command 'runn'"),
        ("reward sreve", "no command 'sreve'"),
        ("run --modle M", "No such option '--modle'"),
        ("run --model", "Option '--model' requires an argument"),
        ("doctor now", "too many words: now"),
        ("plan --probe=1", "does not take a value"),
    ],
)
def test_a_call_is_judged_by_its_names(words, fault):
    found = fault_of(words.split(), root)
    assert found is None if fault is None else fault in found


def test_calls_are_found_in_any_shell():
    text = 'srun -w "$h" x/rlvr-harness run \\\n  --k 8 > log && pip install rlvr-harness\necho $(rlvr-harness doctor)'
    assert calls_in_shell(text) == [["run", "--k", "8"], ["doctor"]]


def test_blocks_are_found_with_their_marks():
    text = "a\n\n<!-- not run: needs a GPU -->\n```bash\nx\n```\n\n    rlvr-harness y\n\n"
    text += "<!-- file: f.yaml -->\n```yaml\nk: 1\n```\n"
    assert [(b.line, b.language, b.text, b.mark, b.told, b.runs) for b in blocks_of(text)] == [
        (4, "bash", "x\n", "not run", "needs a GPU", False),
        (8, "", "rlvr-harness y\n\n", "", "", False),
        (11, "yaml", "k: 1\n", "file", "f.yaml", False),
    ]
    assert Block("p", 1, "python", "").runs


def test_a_page_may_say_that_none_of_its_blocks_is_run():
    text = "<!-- no block of this page is run: needs GPUs -->\n\n```bash\nx\n```\n\n```text\ny\n```\n"
    assert [(b.mark, b.told, b.runs) for b in marked(blocks_of(text), text)] == [
        ("not run", "needs GPUs", False),
        ("", "", False),
    ]


def test_every_command_of_the_harness_is_called_somewhere_outside_the_generated_page():
    text = "\n".join(page.read_text(encoding="utf-8") for page in PAGES if page != ROOT / GENERATED)
    names = {name.replace("_", "-") for name in root.commands}
    assert {name for name in names if not re.search(rf"rlvr-harness {name}\b|`{name}\b", text)} == set()


@pytest.fixture(scope="module")
def shell(tmp_path_factory):
    """Environment in which `rlvr-harness` and `python` are those of this checkout and nothing else of the user is."""
    tools, home = tmp_path_factory.mktemp("tools"), tmp_path_factory.mktemp("home")
    for name, call in (
        ("rlvr-harness", '-c "from rlvr_harness.cli import main; main()" "$@"'),
        ("python", '"$@"'),
    ):
        (tools / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" {call}\n')
        (tools / name).chmod(0o755)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RLVR_HARNESS_")}
    paths = os.pathsep.join(str(ROOT / part) for part in ("", "plugins", "sandbox"))
    return {
        **kept,
        "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": os.pathsep.join([paths, *filter(None, [os.environ.get("PYTHONPATH")])]),
        "HOME": str(home),
        "HF_HUB_OFFLINE": "1",
    }


@pytest.mark.slow
@pytest.mark.parametrize("page", RUNNING)
def test_the_blocks_of_a_page_run_in_order(page, finished_run, shell, tmp_path):  # noqa: F811
    blocks = page_blocks(ROOT / page)
    if not any(f"-o {PREPARED}\n" in block.text for block in blocks if block.runs):
        shutil.copytree(finished_run, tmp_path / PREPARED)
    for block in blocks:
        if block.mark == "file":
            (tmp_path / block.told).write_text(block.text)
        if not block.runs:
            continue
        started = ["bash", "-euo", "pipefail", "-c"] if block.language in SHELL else [sys.executable, "-c"]
        done = subprocess.run(
            [*started, block.text], cwd=tmp_path, env=shell, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{block.place}\n{done.stdout}\n{done.stderr}"


def test_something_runs_on_the_pages_that_promise_it():
    assert Counter(block.page for block in BLOCKS if block.runs)["docs/index.md"] >= 3
