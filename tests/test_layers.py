"""The rules of shape that keep the code readable, read from the source itself."""

import ast
import re
import subprocess
import sys
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import rlvr_harness

ROOT = Path(__file__).parent.parent
CORE = ROOT / "rlvr_harness"
PLUGINS = sorted(path.name for path in (ROOT / "plugins").iterdir() if (path / "__init__.py").is_file())
SOURCES = sorted(path for top in (CORE, ROOT / "plugins") for path in top.rglob("*.py"))
SHAPED = [*SOURCES, *sorted((ROOT / "sandbox").rglob("*.py"))]
LAYERS = (
    {"__main__"},
    {"cli", "commands"},
    {"app", "listing", "validation", "doctor", "analysing", "starting_plugins"}
    | {"sweeping", "sweep_work", "sweep_runs", "sweep_analyses"},
    {
        *{"taking_over", "recording", "side_by_side"},
        *{"running", "pipeline", "judging", "keeping", "topping_up", "estimating", "probing"},
        *{"budgeting", "plugin_sections"},
        *{"assembling", "preparing", "reverifying", "checking", "leaderboard"},
        *{"foreign_files", "importing", "import_results", "exporting", "exporters", "pushing"},
        *{"analyses", "auditing", "auditing_by_model", "scoring", "matching", "foreign_texts", "scored_samples"},
        *{"rewarding", "rewards"},
        *{"training", "training_problems", "training_process", "training_record"},
        *{"viewing"},
    },
    {"notebooks"},
    {
        "registry",
        "hookspecs",
        "observing",
        "stages",
        "report",
        "options",
        "stopping",
        "comparing",
        "confining",
        "executing",
    },
    {
        *{"contracts", "planning", "metrics", "run_store", "run_reader", "parts", "run_spec", "presets", "task_files"},
        *{"scheduling", "feeding", "costing"},
        *{"lm_eval_bridge", "lm_eval_likelihoods", "lm_eval_view"},
        *{"demo_models", "progress", "provenance", "engine_args", "fairness"},
        *{"device_groups"},
        *{"foreign_metric", "foreign_tasks", "local_rows", "local_tokenizer", "sandbox_contracts"},
        *{"checkpoints", "end_tokens", "marks", "executor_contracts", "verifier_workers"},
        *{"sampler_contracts", "pictures", "schemas"},
        *{"exchange_contracts", "training_contracts", "training_tasks", "contamination"},
        *{"training_environments"},
        *{"scoring_contracts", "given_pairs", "pair_tokens", "lm_eval_words", "logged_numbers"},
        *{"picture_checkpoints", "checkpoint_folders"},
    },
    {"records", "requests", "errors", "profiles", "boxes", "training_guard"},
)
HEAVY = (
    "pandas",
    "torch",
    "transformers",
    "datasets",
    "sympy",
    "math_verify",
    "matplotlib",
    "lm_eval",
    "scipy",
    "trl",
    "reasoning_gym",
    "aiohttp",
    "vllm",
    "ray",
)
DEFERRED = {
    *{
        *HEAVY,
        "tokenizers",
        "huggingface_hub",
        "latex2sympy2_extended",
        "pebble",
        "psutil",
        "safetensors",
        "pyarrow",
        "yaml",
    },
    *{"jinja2", "markupsafe", "rich", "peft", "PIL"},
    *{"wandb", "trackio", "mlflow"},
}


@cache
def tree(path):
    return ast.parse(path.read_text(encoding="utf-8"))


def imported(node):
    """Full names of what one import statement names; `from a import b` gives `a.b`."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    assert node.level == 0, "imports are absolute"
    return [f"{node.module}.{alias.name}" for alias in node.names]


def imports(nodes):
    """Full names of everything that the nodes import, type-checking imports left out."""
    found = []
    for node in nodes:
        if isinstance(node, ast.Import | ast.ImportFrom):
            found += imported(node)
        elif not (isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"):
            found += imports(ast.iter_child_nodes(node))
    return found


def functions(path):
    return [node for node in ast.walk(tree(path)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


def module_of(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_of(path): path for path in SOURCES if path.is_relative_to(CORE)}


def core_imports(path):
    """Modules of the core that a file imports, now or later; a package's own name is left out."""
    found = set()
    for name in imports([tree(path)]):
        while name not in MODULES and "." in name:
            name = name.rpartition(".")[0]
        found.add(name)
    return (found & set(MODULES)) - {module_of(path), "rlvr_harness"}


def layer_of(module):
    part = module.split(".")[1]
    places = [number for number, layer in enumerate(LAYERS) if part in layer]
    assert places, f"{module} has no place in LAYERS"
    return places[0]


def plugin_sources():
    return [path for path in SOURCES if not path.is_relative_to(CORE) and path.relative_to(ROOT).parts[1] in PLUGINS]


@pytest.mark.parametrize("module", sorted(set(MODULES) - {"rlvr_harness"}))
def test_imports_only_go_down(module):
    upward = [other for other in core_imports(MODULES[module]) if layer_of(other) < layer_of(module)]
    assert not upward


def test_no_two_modules_import_each_other_even_later():
    graph = {module: core_imports(path) for module, path in MODULES.items() if module != "rlvr_harness"}
    assert list(TopologicalSorter(graph).static_order())


def test_one_file_imports_lm_eval():
    importers = [
        path.name for path in SOURCES if any(name.partition(".")[0] == "lm_eval" for name in imports([tree(path)]))
    ]
    assert importers == ["lm_eval_bridge.py"]


@pytest.mark.parametrize("path", plugin_sources(), ids=module_of)
def test_plugins_import_only_public_names(path):
    ours = [name for name in imports(ast.walk(tree(path))) if name.partition(".")[0] == "rlvr_harness"]
    assert [name for name in ours if name.removeprefix("rlvr_harness.") not in rlvr_harness.__all__] == []


@pytest.mark.parametrize("path", plugin_sources(), ids=module_of)
def test_plugins_never_import_each_other(path):
    others = set(PLUGINS) - {path.relative_to(ROOT).parts[1]}
    assert not others & {name.partition(".")[0] for name in imports(ast.walk(tree(path)))}


def test_loading_the_command_line_and_every_plugin_loads_nothing_heavy():
    program = f"import sys, rlvr_harness.cli, {', '.join(PLUGINS)}\nprint(*[m for m in {HEAVY} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


@pytest.mark.parametrize("path", SOURCES, ids=module_of)
def test_imports_inside_functions_are_of_heavy_libraries(path):
    allowed = DEFERRED | ({"rlvr_harness"} if path == CORE / "cli.py" or path.parent == CORE / "commands" else set())
    late = {name.partition(".")[0] for function in functions(path) for name in imports(function.body)}
    assert late <= allowed


@pytest.mark.parametrize("path", SHAPED, ids=module_of)
def test_files_have_at_most_300_lines(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 300


@pytest.mark.parametrize("path", SHAPED, ids=module_of)
def test_functions_have_at_most_40_lines_and_6_arguments(path):
    too_long = [node.name for node in functions(path) if node.end_lineno - node.lineno + 1 > 40]
    too_wide = [node.name for node in functions(path) if argument_count(node.args) > 6]
    assert (too_long, too_wide) == ([], [])


def argument_count(arguments):
    named = [argument.arg for argument in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)]
    return len([name for name in named if name not in ("self", "cls")])


@pytest.mark.parametrize("path", SHAPED, ids=module_of)
def test_no_bare_except(path):
    assert not [node.lineno for node in ast.walk(tree(path)) if isinstance(node, ast.ExceptHandler) and not node.type]


@pytest.mark.parametrize("path", SOURCES, ids=module_of)
def test_except_exception_never_drops_the_error(path):
    broad = [
        node
        for node in ast.walk(tree(path))
        if isinstance(node, ast.ExceptHandler)
        and node.type
        and {"Exception", "BaseException"} & {name.id for name in ast.walk(node.type) if isinstance(name, ast.Name)}
    ]
    for node in broad:
        used = {name.id for statement in node.body for name in ast.walk(statement) if isinstance(name, ast.Name)}
        assert node.name in used, f"line {node.lineno}"


@pytest.mark.parametrize("path", SHAPED, ids=module_of)
def test_todo_carries_an_issue_number(path):
    lines = path.read_text(encoding="utf-8").splitlines()
    assert not [line for line in lines if re.search(r"\b(TODO|FIXME|XXX)\b(?!\(#\d+\))", line)]


@pytest.mark.parametrize("path", SHAPED, ids=module_of)
def test_no_mutable_argument_default(path):
    defaults = [value for node in functions(path) for value in (*node.args.defaults, *node.args.kw_defaults)]
    assert not [node.lineno for node in defaults if isinstance(node, ast.List | ast.Dict | ast.Set)]
