"""Results in the forms of other programs: what lm-eval's own table and our own importer read back."""

import csv
import json
import sys
import types

import pytest
import yaml

from rlvr_exchange.lm_eval_samples import LmEvalSamples
from rlvr_exchange.plain import PlainSamples
from rlvr_harness import Counts, ForeignChoice, UsageError
from rlvr_harness.commands.exchange import FORMS
from rlvr_harness.exporters import EXPORTERS
from rlvr_harness.exporting import Export
from rlvr_harness.foreign_files import ImportChoice
from rlvr_harness.import_results import import_samples
from rlvr_harness.requests import ImportRequest

LABELS = {"base": {"p": [1, 0, 0, 0], "q": [0, 0, 0, 0]}, "model": {"p": [1, 1, 0, 0], "q": [1, 0, 0, 0]}}


@pytest.fixture
def run_folder(tmp_path):
    files = {}
    for role, problems in LABELS.items():
        files[role] = tmp_path / f"{role}.jsonl"
        rows = [
            {"problem_id": name, "text": f"t{at}", "right": label, "prompt": name, "answer": str(label)}
            for name, labels in problems.items()
            for at, label in enumerate(labels)
        ]
        files[role].write_text("".join(json.dumps(row) + "\n" for row in rows))
    folder = tmp_path / "run"
    import_samples(PlainSamples(), ImportRequest("sums", files), folder, ImportChoice())
    return folder


def written(run_folder, form, target, **datasets):
    return list(EXPORTERS[form](Export.of(run_folder, target, datasets)))


def test_the_command_offers_every_exporter():
    assert list(EXPORTERS) == FORMS


def test_lm_evals_own_table_shows_the_figures(run_folder, tmp_path):
    from lm_eval.utils import get_results_filenames, get_sample_results_filenames, make_table

    paths = written(run_folder, "lm-eval", tmp_path / "out")
    names = [str(path) for path in paths]
    results, samples = get_results_filenames(names), get_sample_results_filenames(names)
    assert len(results) == len(samples) == 2
    table = make_table(json.loads(paths[0].read_text()))
    cells = {row.split("|")[5].strip(): row.split("|")[7].strip() for row in table.splitlines() if "pass@" in row}
    # Base: p has 1 of 4 right, q none. pass@1 = 1/8, pass@2 = (1 - C(3,2)/C(4,2))/2 = 1/4, pass@4 = 1/2.
    assert {name: float(value) for name, value in cells.items()} == {"pass@1": 0.125, "pass@2": 0.25, "pass@4": 0.5}


def test_exported_samples_come_back_with_the_same_counts_texts_and_answers(run_folder, tmp_path):
    paths = [path for path in written(run_folder, "lm-eval", tmp_path / "out") if path.name.startswith("samples_")]
    for path, counts in zip(paths, ((1, 0), (2, 1)), strict=True):
        found = dict(LmEvalSamples().read(ImportRequest("sums", {"model": path})))
        assert found == {"model": Counts(("p", "q"), (4, 4), counts)}
    rows = list(LmEvalSamples().rows(paths[0], ForeignChoice()))
    assert [row.samples[0].text for row in rows[:4]] == ["t0", "t1", "t2", "t3"]
    assert [row.samples[0].answer for row in rows[:2]] == ["1", "0"]


def test_csv_holds_the_curve_and_counts_that_can_be_imported(run_folder, tmp_path):
    from rlvr_counts.importer import read_counts

    table, base, model = written(run_folder, "csv", tmp_path / "out")
    assert read_counts(base) == Counts(("p", "q"), (4, 4), (1, 0))
    assert read_counts(model) == Counts(("p", "q"), (4, 4), (2, 1))
    rows = list(csv.DictReader(table.read_text().splitlines()))
    assert [(row["model"], row["k"], float(row["value"])) for row in rows][:2] == [
        ("base", "1", 0.125),
        ("base", "2", 0.25),
    ]


def test_hub_files_parse_as_the_hub_client_reads_them(run_folder, tmp_path):
    from huggingface_hub import parse_eval_result_entries
    from huggingface_hub.repocard_data import model_index_to_eval_results

    paths = written(run_folder, "hub", tmp_path / "out", sums="org/sums")
    assert [str(path.relative_to(tmp_path / "out")) for path in paths[:2]] == [
        "base/.eval_results/sums.yaml",
        "base/model-index.yaml",
    ]
    entries = parse_eval_result_entries(yaml.safe_load(paths[0].read_text()))
    assert [(one.dataset_id, one.task_id, one.value) for one in entries][:2] == [
        ("org/sums", "sums_pass_at_1", 0.125),
        ("org/sums", "sums_pass_at_2", 0.25),
    ]
    assert "n=4 samples a problem" in entries[0].notes
    name, results = model_index_to_eval_results(yaml.safe_load(paths[1].read_text())["model-index"])
    assert (name, results[0].metric_type, results[0].metric_value) == ("base", "pass@1", 0.125)


def test_the_hub_needs_to_know_the_data_set(run_folder, tmp_path):
    with pytest.raises(UsageError, match="add --dataset sums=OWNER/NAME"):
        written(run_folder, "hub", tmp_path / "out")
    with pytest.raises(UsageError, match="has no task 'x'; it has sums"):
        written(run_folder, "hub", tmp_path / "out", x="a/b")


@pytest.mark.parametrize("library", ["wandb", "trackio"])
def test_a_missing_library_is_one_clear_line(run_folder, tmp_path, monkeypatch, library):
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(UsageError, match=f'needs a library that is not installed: pip install "{library}"'):
        written(run_folder, library, tmp_path / "out")


def test_trackio_is_given_one_run_a_model_with_the_curve(run_folder, tmp_path, monkeypatch):
    calls = []
    fake = types.SimpleNamespace(
        init=lambda **given: calls.append(("init", given["name"])),
        log=lambda row: calls.append(("log", row)),
        finish=lambda: calls.append(("finish", None)),
    )
    monkeypatch.setitem(sys.modules, "trackio", fake)
    written(run_folder, "trackio", tmp_path / "out")
    assert [name for what, name in calls if what == "init"] == ["run-base", "run-model"]
    logged = [row for what, row in calls if what == "log"]
    assert [row["sums/pass_at_k"] for row in logged[:3]] == [0.125, 0.25, 0.5]
    assert logged[3]["sums/pass@4"] == 0.5


def test_a_folder_of_counts_exports_results_without_samples(tmp_path, cli):
    counts = tmp_path / "c.csv"
    counts.write_text("problem_id,n,c\na,4,1\n")
    assert cli("import", "--task", "t", "--model", counts, "-o", tmp_path / "run")[0] == 0
    status, out, _ = cli("export", tmp_path / "run", "-o", tmp_path / "out")
    assert (status, out.count("\n"), "results_" in out) == (0, 1, True)


def test_an_option_that_is_no_pair_is_one_line(run_folder, tmp_path, cli):
    status, _, err = cli("export", run_folder, "--format", "hub", "--dataset", "sums", "-o", tmp_path / "out")
    assert (status, err) == (2, "error: --dataset: 'sums' is not of the form NAME=PATH\n")
    status, _, err = cli("import", "--task", "t", "--model", run_folder, "--also", "base=x", "-o", tmp_path / "o")
    assert (status, err) == (2, "error: --also base=...: 'base' is the name of --base; choose another\n")
