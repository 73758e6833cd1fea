"""JSON Schemas of results.json and run.json: real runs fit them, what the contract rules out does not."""

import copy
import json
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlvr_harness import app
from rlvr_harness.errors import RunFolderError
from rlvr_harness.foreign_files import ImportChoice
from rlvr_harness.records import Tally
from rlvr_harness.run_spec import parse_spec
from rlvr_harness.schemas.checking import read_results
from rlvr_harness.stages.measuring import ModelTallies, TaskTallies, measure_task
from tests.docs_blocks import page_blocks
from tests.small_runs import OPTIONS, finished_run, run_folder  # noqa: F401

jsonschema = pytest.importorskip("jsonschema", reason="jsonschema is not installed (extra: test)")
ROOT = Path(__file__).parent.parent


def schema(name):
    content = json.loads((ROOT / "rlvr_harness" / "schemas" / f"{name}-1.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(content)
    return jsonschema.Draft202012Validator(content)


RESULTS, RUN = schema("results"), schema("run")


def faults(validator, content):
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(content)]


def read(folder, name):
    return json.loads((folder / name).read_text(encoding="utf-8"))


def run(folder, **options):
    app.run(parse_spec({**OPTIONS, "n": None, "limit": 3, **options, "output_path": str(folder)}), quiet=True)
    return folder


def one_model(folder):
    return run(folder, base=None, k=4)


def three_models_in_stages(folder):
    also = {"distilled": "demo/distilled"}
    return run(folder, also=also, k=16, plan="sequential", stages="4,8,16", stop_after=2)


def imported_counts(folder):
    files = {}
    for role, right in (("base", (0, 3, 16)), ("model", (0, 9, 16))):
        files[role] = folder.with_name(f"{role}.csv")
        files[role].write_text("problem_id,n,c\n" + "".join(f"p{row},16,{c}\n" for row, c in enumerate(right)))
    request = app.import_request("t", {**files, "also": ()})
    return app.import_results("counts", request, folder, ImportChoice()).folder


def imported_samples(folder):
    files = {}
    for role, right in (("base", (0, 1)), ("model", (1, 1))):
        rows = [{"problem_id": f"p{row}", "text": f"text {row}", "right": c} for row, c in enumerate(right)]
        files[role] = folder.with_name(f"{role}.jsonl")
        files[role].write_text("".join(json.dumps(row) + "\n" for row in rows))
    request = app.import_request("t", {**files, "also": ()})
    return app.import_results("samples", request, folder, ImportChoice(metric="right")).folder


@pytest.mark.slow
@pytest.mark.parametrize("make", [one_model, three_models_in_stages, imported_counts, imported_samples])
def test_what_runs_and_imports_write_fits(make, tmp_path):
    folder = make(tmp_path / "run")
    assert faults(RESULTS, read(folder, "results.json")) == []
    assert faults(RUN, read(folder, "run.json")) == []
    assert read_results(folder, whole=True) == read(folder, "results.json")


def test_a_run_of_two_models_fits(finished_run):  # noqa: F811
    assert faults(RESULTS, read(finished_run, "results.json")) == []
    assert faults(RUN, read(finished_run, "run.json")) == []


def test_the_folder_of_an_earlier_version_fits():
    folder = ROOT / "tests" / "run_folder_1"
    assert faults(RESULTS, read(folder, "results.json")) == []
    assert faults(RUN, {**read(folder, "run.json"), "imported": {}}) == []


counts = st.integers(1, 40).flatmap(
    lambda n: st.lists(st.tuples(st.integers(0, n), st.integers(0, n)), min_size=1, max_size=12).map(
        lambda pairs: (n, pairs)
    )
)


@given(counts)
@settings(max_examples=15, deadline=None)
def test_whatever_the_counts_are_the_measured_numbers_stay_in_range(given):
    n, pairs = given
    models = [
        ModelTallies(
            role,
            role,
            [Tally(f"p{row}", n, pair[side]) for row, pair in enumerate(pairs)],
            plan={"kind": "fixed", "n": n},
            truncated=0,
            mean_tokens=1.0,
            answers={f"p{row}": {"1": (pair[side],) * 2, None: (n - pair[side], 0)} for row, pair in enumerate(pairs)},
        )
        for side, role in enumerate(("base", "model"))
    ]
    entry = measure_task(TaskTallies("t", models))
    found = {"schema": "rlvr-harness/results/1", "run": {}, "tasks": {"t": json.loads(json.dumps(entry))}}
    assert faults(RESULTS, found) == []


REQUIRED = [
    *("name", "samples", "right", "wrong", "void", "truncated", "mean_tokens", "plan", "duplicates"),
    *("pass_at_k", "pass_hat_k", "maj_at_k", "g_pass_at_k", "cover_at_tau", "auc_at_k", "accuracy_histogram"),
    *("guess_floor", "extrapolated", "entropy", "perplexity"),
]
OF_THE_COMPARISON = ["base", "model", "difference", "crossover", "coverage", "support", "delta_se", "fairness"]


@pytest.mark.parametrize("key", REQUIRED)
def test_every_key_that_the_contract_names_must_be_there(finished_run, key):  # noqa: F811
    content = read(finished_run, "results.json")
    del content["tasks"]["countdown"]["models"]["base"][key]
    assert faults(RESULTS, content) == [f"$.tasks.countdown.models.base: '{key}' is a required property"]


@pytest.mark.parametrize("key", OF_THE_COMPARISON)
def test_every_key_of_a_comparison_must_be_there(finished_run, key):  # noqa: F811
    content = read(finished_run, "results.json")
    del content["tasks"]["countdown"]["comparison"][key]
    assert len(faults(RESULTS, content)) == 1


WRONG = {
    "schema": "rlvr-harness/results/2",
    "tasks": [],
    "tasks.countdown.problems": -1,
    "tasks.countdown.models.base.right": 1.5,
    "tasks.countdown.models.base.void": True,
    "tasks.countdown.models.base.pass_at_k.8.value": 1.01,
    "tasks.countdown.models.base.pass_at_k.8.low": "0.5",
    "tasks.countdown.models.base.pass_at_k.eight": {"value": 0.5, "low": None, "high": None},
    "tasks.countdown.models.base.accuracy_histogram": [0] * 10,
    "tasks.countdown.models.base.plan.kind": "adaptive",
    "tasks.countdown.comparison.difference.1.value": -1.5,
    "tasks.countdown.comparison.crossover.verdict": "maybe",
    "tasks.countdown.comparison.crossover.k": 0,
    "tasks.countdown.comparison.coverage.base_only_ids": "p1",
    "tasks.countdown.comparison.support.srr": 2,
    "tasks.countdown.comparison.fairness.same_prompt": "yes",
}


def put(content, path, value):
    *parents, last = path.split(".")
    for key in parents:
        content = content[key]
    content[last] = value


@pytest.mark.parametrize("path", WRONG)
def test_a_wrong_value_does_not_fit_and_is_named_in_one_line(run_folder, path, cli):  # noqa: F811
    content = read(run_folder, "results.json")
    put(content, path, WRONG[path])
    assert faults(RESULTS, content)
    (run_folder / "results.json").write_text(json.dumps(content))
    status, out, err = cli("report", run_folder)
    assert (status, out, err.count("\n")) == (1, "", 1)
    assert "results.json is damaged: " in err
    assert path in err
    assert f"`rlvr-harness resume {run_folder}`" in err


def test_further_keys_fit_anywhere(finished_run):  # noqa: F811
    content = read(finished_run, "results.json")
    task = content["tasks"]["countdown"]
    for part in (content, content["run"], task, task["models"]["base"], task["comparison"]["crossover"]):
        part["of_a_later_version"] = {"x": [1]}
    assert faults(RESULTS, content) == []


def test_results_of_an_earlier_version_are_read_without_what_they_lack(run_folder, cli):  # noqa: F811
    content = read(run_folder, "results.json")
    task = content["tasks"]["countdown"]
    del task["comparison"]["shift"], task["comparison"]["support"], task["models"]["base"]["extrapolated"]
    (run_folder / "results.json").write_text(json.dumps(content))
    assert cli("report", run_folder)[0] == 0
    with pytest.raises(RunFolderError, match=r"'tasks\.countdown\.models\.base\.extrapolated' is missing"):
        read_results(run_folder, whole=True)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{}", "'schema' is missing (and 1 more)"),
        ('{"schema": "rlvr-harness/results/1", "run": {}}', "'tasks' is missing"),
        ('{"schema": "rlvr-harness/results/1", "run": {}, "tasks": 3}', "tasks: "),
        ('{"schema": "rlvr-harness/results/1", "run": {}, "tasks": {"t": 3}}', "tasks.t: "),
        ("[" * 100_000, "cannot be read: maximum recursion depth"),
        ('{"a": ' + "9" * 5000 + "}", "cannot be read: Exceeds the limit"),
        ('{"schema": ', "cannot be read"),
    ],
)
def test_a_file_that_is_no_results_gives_one_line(tmp_path, cli, text, says):
    (tmp_path / "results.json").write_text(text)
    status, out, err = cli("report", tmp_path)
    assert (status, out, err.count("\n")) == (1, "", 1)
    assert says in err
    assert f"`rlvr-harness resume {tmp_path}`" in err
    assert "Traceback" not in err


def test_a_run_without_its_samples_law_does_not_fit(finished_run):  # noqa: F811
    record = copy.deepcopy(read(finished_run, "run.json"))
    del record["tasks"]["countdown"]["sampling"]["top_p"]
    assert faults(RUN, record)


def test_the_lines_in_the_docs_validate_a_run(finished_run, tmp_path, monkeypatch):  # noqa: F811
    [block] = [block for block in page_blocks(ROOT / "docs" / "results.md") if "jsonschema" in block.text]
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "first").symlink_to(finished_run)
    monkeypatch.chdir(tmp_path)
    exec(compile(block.text, block.place, "exec"), {})


def test_the_docs_link_both_schemas():
    text = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
    assert set(re.findall(r"schemas/(\w+-1\.json)\)", text)) == {"results-1.json", "run-1.json"}
