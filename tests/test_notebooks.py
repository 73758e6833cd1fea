"""`load_run`: the tables and plots of a finished run, and of counts alone."""

import json
import re
from pathlib import Path

import matplotlib
import pytest

from rlvr_harness import RunFolderError, UnknownName, UsageError, load_run
from tests.small_runs import finished_run  # noqa: F401

matplotlib.use("Agg")
ROOT = Path(__file__).parent.parent


@pytest.fixture
def run(finished_run):  # noqa: F811
    return load_run(finished_run)


@pytest.fixture
def counts(cli, tmp_path):
    """Two problems of four samples: the base solves none and one of the four, the model one and all."""
    for role, right in {"base": (0, 1), "model": (1, 4)}.items():
        rows = [f"{name},4,{c}" for name, c in zip("pq", right, strict=True)]
        (tmp_path / f"{role}.csv").write_text("\n".join(["problem_id,n,c", *rows, ""]))
    words = ["import", "--task", "sums", "-o", tmp_path / "run"]
    assert cli(*words, "--base", tmp_path / "base.csv", "--model", tmp_path / "model.csv")[0] == 0
    return tmp_path / "run"


def test_the_tables_say_what_results_json_says(run):
    entry = run.results["tasks"]["countdown"]["models"]["model"]
    table = run.pass_at_k("countdown")
    of_model = table[table["model"] == "model"].set_index("k")
    assert {str(k): value for k, value in of_model["value"].items()} == {
        k: point["value"] for k, point in entry["pass_at_k"].items()
    }
    assert list(run.tallies("countdown", "model")["c"]) == entry["counts"]["c"]
    assert run.models().set_index("model").loc["model", "right"] == entry["right"]
    assert repr(run).endswith("tasks=['countdown'], models=['base', 'model'])")


def test_pass_at_k_and_difference_of_counts_are_those_worked_out_by_hand(counts):
    run = load_run(counts)
    table = run.pass_at_k().set_index(["model", "k"])["value"]
    # Base (0/4, 1/4): pass@1 = (0 + 1/4)/2, pass@2 = (0 + 1 - C(3,2)/C(4,2))/2. Model (1/4, 4/4): 5/8 and 3/4.
    assert (table["base", 1], table["base", 2]) == pytest.approx((1 / 8, 1 / 4))
    assert (table["model", 1], table["model", 2]) == pytest.approx((5 / 8, 3 / 4))
    difference = run.difference("sums").set_index("k")["value"]
    assert (difference[1], difference[2]) == pytest.approx((1 / 2, 1 / 2))


def test_counts_alone_have_problems_and_tallies_but_no_samples(counts):
    run = load_run(counts / "results.json")
    assert run.problems("sums")["problem_id"].tolist() == ["p", "q"]
    assert run.tallies("sums", "model").to_dict("list") == {"problem_id": ["p", "q"], "n": [4, 4], "c": [1, 4]}
    assert len(run.samples("sums", "model")) == 0
    assert list(run.each_sample("sums", "model")) == []


def test_a_results_json_by_itself_is_enough(counts, tmp_path):
    (tmp_path / "alone").mkdir()
    (counts / "results.json").rename(tmp_path / "alone" / "results.json")
    run = load_run(str(tmp_path / "alone"))
    assert (run.tasks, dict(run.record)) == (("sums",), {})
    assert run.plot_pass_at_k().get_xlabel() == "k"


@pytest.mark.parametrize(
    ("content", "says"),
    [('{"tasks": {}}', "'schema' is missing"), ("[" * 100_000, "cannot be read: maximum recursion depth")],
)
def test_damaged_results_are_one_line_with_the_way_out(tmp_path, content, says):
    (tmp_path / "results.json").write_text(content)
    with pytest.raises(RunFolderError, match=f"{says}.*rlvr-harness resume"):
        load_run(tmp_path)


def test_a_home_folder_is_found(counts, monkeypatch):
    monkeypatch.setenv("HOME", str(counts.parent))
    assert load_run("~/run").tasks == ("sums",)


def test_rows_below_none_are_refused(run):
    assert len(run.samples("countdown", "model", limit=0)) == 0
    with pytest.raises(UsageError, match="limit is -1; give a number of rows from 0 on, or None for all"):
        run.samples("countdown", "model", limit=-1)


def test_samples_come_with_their_verdicts_and_no_more_than_asked_for(run):
    everything = run.samples("countdown", "model", limit=None)
    assert len(everything) == 72  # 6 problems x 12 samples
    right = (everything["outcome"] == "right").sum()
    assert right == run.results["tasks"]["countdown"]["models"]["model"]["right"]
    assert run.samples("countdown", "model", limit=5).equals(everything.head(5))
    first = run.problems("countdown")["problem_id"][0]
    one = run.samples("countdown", "model", columns=["index", "outcome"], problem_id=first)
    assert list(one.columns) == ["index", "outcome"]
    assert sorted(one["index"]) == list(range(12))


def test_samples_pass_by_in_tables(run):
    tables = list(run.each_sample("countdown", "base", columns=["problem_id", "n_tokens"]))
    assert sum(map(len, tables)) == 72
    assert all(list(table.columns) == ["problem_id", "n_tokens"] for table in tables)


def test_problems_hold_prompt_and_reference(run):
    table = run.problems("countdown")
    assert len(table) == 6
    assert table["prompt"].str.startswith("Make ").all()


@pytest.mark.parametrize("plot", ["pass_at_k", "difference", "accuracy_shift", "accuracy", "solved"])
def test_plots_draw_on_the_axes_given_or_on_new_ones(run, plot):
    from matplotlib import pyplot

    figure, ax = pyplot.subplots()
    draw = getattr(run, f"plot_{plot}")
    assert draw("countdown", ax=ax) is ax
    assert ax.has_data()
    own = draw()
    assert own is not ax
    pyplot.close(own.figure)
    pyplot.close(figure)


def test_the_plotted_curve_is_the_table_in_percent(run):
    from matplotlib import pyplot

    ax = run.plot_pass_at_k()
    table = run.pass_at_k()
    wanted = [100 * value for value in table[table["model"] == "base"]["value"]]
    assert any(
        list(line.get_ydata()) == pytest.approx(wanted) for line in ax.lines if len(line.get_ydata()) == len(wanted)
    )
    pyplot.close(ax.figure)


@pytest.mark.parametrize(
    ("ask", "error", "message"),
    [
        (lambda run: run.pass_at_k("countdwn"), UnknownName, "no task 'countdwn'; did you mean countdown?"),
        (lambda run: run.tallies("countdown", "rl"), UnknownName, "no model 'rl'; there are: base, model"),
        (lambda run: run.samples("countdown", "base", ["txt"]), UnknownName, "no column 'txt'; did you mean text?"),
        (lambda run: run.each_sample("countdown", "base", ["outcome"]).__next__(), UsageError, "come with samples"),
        (lambda run: load_run(run.folder / "nowhere"), RunFolderError, "holds no results.json"),
    ],
)
def test_what_is_not_there_is_named(run, ask, error, message):
    with pytest.raises(error, match=re.escape(message)):
        ask(run)


def test_one_model_has_no_difference_to_plot(counts):
    results = json.loads((counts / "results.json").read_text())
    entry = results["tasks"]["sums"]
    del entry["models"]["base"], entry["comparison"]
    (counts / "results.json").write_text(json.dumps(results))
    run = load_run(counts)
    assert len(run.difference()) == 0
    with pytest.raises(UsageError, match="has no numbers for the plot 'difference', which may need a base"):
        run.plot_difference()


def test_the_blocks_of_the_page_run_as_written(finished_run, tmp_path, monkeypatch):  # noqa: F811
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs/notebooks.md").read_text(), re.DOTALL)
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs/first").symlink_to(finished_run)
    monkeypatch.chdir(tmp_path)
    names = {}
    for block in blocks:
        exec(compile(block, "docs/notebooks.md", "exec"), names)
    assert len(blocks) >= 4
    assert (tmp_path / "curves.pdf").is_file()
