"""What the browser of a run shows equals what its rows give by brute force, in every state of the folder."""

from collections import Counter
from dataclasses import replace

import pyarrow.parquet as pq
import pytest

from rlvr_harness.parts.naming import live_parts, samples_folder
from rlvr_harness.records import FinishReason, Outcome, Sample, Tally, Verdict
from rlvr_harness.run_store import RunStore
from rlvr_harness.viewing.asked import ProblemFilter, SampleFilter
from rlvr_harness.viewing.auditing import read_queue, unmarked_first
from rlvr_harness.viewing.differing import Verifiers, agreement, differences
from rlvr_harness.viewing.index import Index
from rlvr_harness.viewing.queries import Queries, Window
from rlvr_harness.viewing.searching import Search
from tests import view_fakes as fakes


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run") / "r"
    rows = fakes.write_run(folder)
    with Index(folder) as index:
        yield Queries(index), rows


def keys(found):
    return [(row.problem, row.index) for row in found.rows]


def brute(rows, wanted, model="base", problem=2):
    chosen = []
    for sample, verdicts in rows:
        verdict = verdicts[wanted.verifier or "math"]
        fits = (
            (sample.model, sample.problem_id) == (model, f"p{problem}"),
            wanted.outcome in ("", verdict.outcome),
            wanted.finish in ("", sample.finish_reason),
            wanted.reason in ("", verdict.reason),
            wanted.answer in ("", verdict.answer),
            not wanted.no_answer or verdict.answer is None,
            wanted.words.lower() in sample.text.lower(),
        )
        if all(fits):
            chosen.append((sample, verdict))
    order = {
        "index": lambda row: row[0].index,
        "right": lambda row: (row[1].outcome != "right", row[0].index),
        "wrong": lambda row: (row[1].outcome != "wrong", row[0].index),
        "long": lambda row: (-row[0].n_tokens, row[0].index),
    }[wanted.sort]
    return sorted(chosen, key=order)


FILTERS = [
    SampleFilter(),
    SampleFilter(outcome="right", sort="long"),
    SampleFilter(outcome="void"),
    SampleFilter(sort="right"),
    SampleFilter(sort="wrong"),
    SampleFilter(finish="length", outcome="wrong"),
    SampleFilter(answer="3"),
    SampleFilter(no_answer=True),
    SampleFilter(reason="mismatch", sort="right"),
    SampleFilter(words="STEP 1"),
    SampleFilter(words="step 1", outcome="right", sort="long"),
    SampleFilter(verifier="strict", outcome="right"),
]


@pytest.mark.parametrize("wanted", FILTERS, ids=str)
def test_samples_of_a_problem_are_those_that_brute_force_finds(run, wanted):
    queries, rows = run
    expected = brute(rows, wanted)
    assert expected, "a filter that finds nothing shows nothing"
    found = queries.samples(queries.index.snapshot, "t", "base", wanted, Window(2, 0, 1000))
    assert keys(found) == [(2, sample.index) for sample, _ in expected]
    assert found.texts == [sample.text for sample, _ in expected]
    assert [(row.outcome, row.answer, row.reason) for row in found.rows] == [
        (verdict.outcome, verdict.answer, verdict.reason) for _, verdict in expected
    ]
    assert found.total == len(expected)


@pytest.mark.parametrize("wanted", [SampleFilter(sort="right"), SampleFilter(words="step 1")], ids=str)
def test_pages_hold_each_sample_once(run, wanted):
    queries, rows = run
    pages = [queries.samples(queries.index.snapshot, "t", "base", wanted, Window(2, at, 7)) for at in range(0, 40, 7)]
    assert [key for page in pages for key in keys(page)] == [(2, sample.index) for sample, _ in brute(rows, wanted)]


@pytest.mark.parametrize(
    "wanted",
    [SampleFilter(sort="long"), SampleFilter(outcome="right", sort="wrong"), SampleFilter(answer="3")],
    ids=str,
)
def test_samples_of_a_whole_task_come_problem_by_problem(run, wanted):
    queries, rows = run
    expected = [(at, sample.index) for at in range(6) for sample, _ in brute(rows, wanted, "model", at)]
    pages = [
        queries.samples(queries.index.snapshot, "t", "model", wanted, Window(None, at, 11)) for at in range(0, 250, 11)
    ]
    assert [key for page in pages for key in keys(page)] == expected
    assert {page.total for page in pages} == {len(expected)}


def tallies(rows, model):
    counted = {f"p{problem}": Counter() for problem in range(6)}
    for sample, verdicts in rows:
        if sample.model == model:
            counted[sample.problem_id][verdicts["math"].outcome] += 1
    return {
        name: Tally(name, count["right"] + count["wrong"], count["right"], count["void"])
        for name, count in counted.items()
    }


def test_counts_are_those_of_the_tasks_own_verifier(run):
    queries, rows = run
    assert queries.tallies(queries.index.snapshot, "t", "base") == tallies(rows, "base")


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (ProblemFilter(quadrant="base_only"), ["p0"]),
        (ProblemFilter(quadrant="model_only"), ["p1"]),
        (ProblemFilter(quadrant="neither"), ["p3"]),
        (ProblemFilter(quadrant="both"), ["p2", "p4", "p5"]),
        (ProblemFilter(quadrant="undecided"), ["p1"]),
        (ProblemFilter(most={"base": 0}), ["p1", "p3"]),
        (ProblemFilter(least={"base": 1, "model": 1}), ["p2", "p4", "p5"]),
        (ProblemFilter(words="IS 4"), ["p4"]),
        (ProblemFilter(words="nowhere"), []),
        (ProblemFilter(sort="easy.base", quadrant="base_only"), ["p0"]),
        (ProblemFilter(sort="hard.base"), ["p1", "p3", "p0", "p2", "p4", "p5"]),
    ],
    ids=str,
)
def test_problems_by_counts_quadrant_and_text(run, wanted, expected):
    queries, _ = run
    pair = replace(queries.index.snapshot.folder.pairs("t")[0], undecided=frozenset({"p1"}))
    found = queries.problems(queries.index.snapshot, "t", pair, wanted)
    assert [row.problem_id for row in found] == expected


def test_two_verifiers_are_compared_as_by_brute_force(run):
    queries, rows = run
    snapshot, pair = queries.index.snapshot, Verifiers("t", "base", "math", "strict")
    expected = Counter(
        (verdicts["math"].outcome.value, verdicts["strict"].outcome.value)
        for sample, verdicts in rows
        if sample.model == "base"
    )
    assert agreement(queries.index, snapshot, pair) == expected
    differing = differences(queries.index, snapshot, pair, None, (0, 1000))
    assert len(differing) == expected["right", "wrong"] > 0
    assert {(row.first, row.second) for row in differing} == {("right", "wrong")}
    cell = differences(queries.index, snapshot, pair, ("void", "void"), (1, 2))
    assert len(cell) == 2 and expected["void", "void"] > 3


@pytest.mark.parametrize("words", ["thinks about 3, STEP 1", "\\boxed{4}", "100% absent"])
def test_search_finds_what_brute_force_finds_in_all_models(run, words):
    queries, rows = run
    search = Search(queries.index, queries.index.snapshot, "t", ["base", "model"], SampleFilter(words=words))
    hits = [hit for step in search.steps() for hit in step.hits]
    expected = {
        (sample.model, sample.problem_id, sample.index) for sample, _ in rows if words.lower() in sample.text.lower()
    }
    assert {(hit.model, f"p{hit.problem}", hit.index) for hit in hits} == expected
    assert len(hits) == len(expected)
    assert all(hit.found.lower() == words.lower() for hit in hits)


def test_a_stopped_search_reads_no_further_part(run):
    queries, _ = run
    search = Search(queries.index, queries.index.snapshot, "t", ["base", "model"], SampleFilter(words="step"))
    steps = search.steps()
    first = next(steps)
    assert (first.done, first.total) == (1, 8)
    search.stop()
    assert list(steps) == []


def test_the_first_sample_and_the_last_verdict_that_is_not_void_count(tmp_path):
    fakes.write_run(tmp_path / "r", problems=1, n=1, commits=1, models=("base",), verifiers=())
    first = Sample("t", "base", "p0", 5, 0, "first", FinishReason.STOP, 1)
    with RunStore(tmp_path / "r") as store:
        for text, outcome in (("first", Outcome.VOID), ("second", Outcome.WRONG), ("third", Outcome.VOID)):
            store.append_samples([replace(first, text=text)])
            store.append_verdicts("t", "base", "math", [Verdict("p0", 5, outcome, None, text)])
            store.commit()
    with Index(tmp_path / "r") as index:
        found = Queries(index).sample(index.snapshot, "t", "base", 0, 5)
    assert (found.texts, found.rows[0].outcome, found.rows[0].reason) == (["first"], "wrong", "second")


def test_a_run_that_goes_on_and_compacts_is_followed(tmp_path):
    folder = tmp_path / "r"
    fakes.write_run(folder)
    place = samples_folder(folder, "t", "base")
    with Index(folder) as index:
        queries = Queries(index)
        before = index.snapshot
        assert index.refresh() is before
        with RunStore(folder) as store:
            store.append_samples([Sample("t", "base", "new", 0, 0, "late", FinishReason.STOP, 1)])
            store.commit()
            assert index.refresh().samples == before.samples + 1
            read = queries.samples(index.snapshot, "t", "base", SampleFilter(), Window(2, 0, 40)).texts
            store.compact()
        assert len(live_parts(place)) == 1
        after = index.refresh()
        assert after.samples == before.samples + 1
        assert queries.samples(after, "t", "base", SampleFilter(), Window(2, 0, 40)).texts == read
        assert queries.sample(after, "t", "base", 6, 0).texts == ["late"]
        assert after.tasks["t"].numbering.ids[6] == "new"


def test_a_damaged_part_is_named_and_the_rest_is_shown(tmp_path):
    folder = tmp_path / "r"
    fakes.write_run(folder)
    part = live_parts(samples_folder(folder, "t", "base"))[1].path
    part.write_bytes(part.read_bytes()[:100])
    with Index(folder) as index:
        assert [part.name in fault for fault in index.snapshot.faults] == [True]
        found = Queries(index).samples(index.snapshot, "t", "base", SampleFilter(), Window(2, 0, 40))
    assert [row.index for row in found.rows] == [index for index in range(40) if index % 4 != 1]


def test_a_part_that_another_program_wrote_in_dictionaries_is_read(tmp_path):
    folder = tmp_path / "r"
    fakes.write_run(folder)
    part = live_parts(samples_folder(folder, "t", "base"))[0].path
    table = pq.read_table(part)
    coded = table.set_column(3, "text", table["text"].combine_chunks().dictionary_encode())
    pq.write_table(coded, part, row_group_size=7)
    with Index(folder) as index:
        found = Queries(index).sample(index.snapshot, "t", "base", 5, 36)
    assert found.texts == [fakes.sample_of("base", 5, 36).text]


def test_a_run_of_counts_alone_shows_its_problems(tmp_path):
    with RunStore(tmp_path / "r") as store:
        store.write_json("run.json", fakes.run_json())
        counts = {"problem_id": ["a", "b"], "n": [8, 8], "c": [0, 3]}
        models = {role: {"counts": counts} for role in ("base", "model")}
        store.write_json("results.json", {"tasks": {"t": {"models": models, "comparison": {}}}})
    with Index(tmp_path / "r") as index:
        pair = index.snapshot.folder.pairs("t")[0]
        found = Queries(index).problems(index.snapshot, "t", pair, ProblemFilter(quadrant="both"))
    assert [(row.problem_id, row.counts["model"].c) for row in found] == [("b", 3)]


def test_the_queue_lists_what_is_unmarked_first_and_names_bad_lines(tmp_path):
    (tmp_path / "audit").mkdir()
    lines = [fakes.queue_line(), fakes.queue_line(index=2, why="\ud800"), "{", fakes.queue_line(index="3"), ""]
    (tmp_path / "audit" / "queue.jsonl").write_text("\n".join(lines))
    queue = read_queue(tmp_path)
    assert [entry.sample[3] for entry in queue.entries] == [1, 2]
    assert [fault.partition(" is no entry")[0][-6:] for fault in queue.faults] == ["line 3", "line 4"]
    assert "\ud800" not in queue.entries[1].why
    assert [each.sample[3] for each in unmarked_first(queue.entries, {queue.entries[0].sample: []})] == [2, 1]
