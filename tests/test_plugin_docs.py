"""docs/plugins.md against the code: every hook as its docstring has it, and what it says of public names."""

import ast
import inspect
import re
import runpy
from pathlib import Path
from types import SimpleNamespace

import pytest

import rlvr_harness
from rlvr_harness import hookspecs
from rlvr_harness.registry import load_plugins

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "docs" / "plugins.md").read_text(encoding="utf-8")
MAKER = runpy.run_path(str(ROOT / ".ci" / "plugin_hooks.py"))
HOOKS = [hook for hook in vars(hookspecs).values() if hasattr(hook, "rlvr_harness_spec")]


@pytest.mark.parametrize("hook", HOOKS, ids=lambda hook: hook.__name__)
def test_every_hook_has_a_heading_and_its_docstrings_first_line(hook):
    described = TEXT.partition(f"\n### {hook.__name__}\n")[2].partition("\n### ")[0]
    assert inspect.getdoc(hook).splitlines()[0] in described


def test_the_section_of_hooks_is_as_the_code_makes_it():
    assert MAKER["BETWEEN"].search(TEXT)[0] == f"\n{MAKER['section']()}", "run python .ci/plugin_hooks.py --write"


@pytest.mark.parametrize(("hook", "path"), MAKER["EXAMPLES"].items())
def test_the_example_of_a_hook_implements_it(hook, path):
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    assert hook in [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]


def test_the_contracts_that_it_names_are_public():
    listed = TEXT.partition("What objects may offer beyond")[2].partition("<!--")[0]
    names = set(re.findall(r"`([A-Z]\w+)`", listed))
    assert len(names) > 15
    assert names <= set(rlvr_harness.__all__)


def test_the_observer_that_it_shows_works(tmp_path):
    [source] = re.findall(r"^```python\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
    found = {}
    exec(compile(source, "docs/plugins.md", "exec"), found)
    hooks = load_plugins(extra=[("shown", SimpleNamespace(run_finished=found["run_finished"]))]).hooks
    results = {"tasks": {"sums": {"models": {"base": {"pass_at_k": {"1": {"value": 0.25}}}}}}}
    hooks.run_finished(results=results, run_dir=tmp_path)
    assert (tmp_path / "pass_at_1.txt").read_text() == "sums base 0.250\n"
