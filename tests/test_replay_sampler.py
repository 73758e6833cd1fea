"""The `replay` sampler: sample files in, sample `index` of a problem out."""

import gzip
import json
import time

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rlvr_harness import FinishReason, ModelError, ModelRequest, Problem, SampleRequest, SamplingLaw, UsageError
from rlvr_replay.sampler import ReplaySampler

LAW = SamplingLaw()
ROWS = [{"problem_id": f"p{number % 3}", "text": f"text {number} \u00e9\U0001f600"} for number in range(12)]


@pytest.fixture
def opened():
    """opened(path) -> the samples of a file or folder, closed when the test ends."""
    models = []

    def open_(path):
        models.append(ReplaySampler().open(ModelRequest("model", str(path))))
        return models[-1]

    yield open_
    for model in models:
        model.close()


def ask(model, problem_id, indices, task="t"):
    indices = tuple(indices)
    request = SampleRequest(Problem(task, problem_id, "", ""), indices, tuple(100 + index for index in indices))
    return model.sample((request,), LAW)


def write(path, rows):
    lines = "".join(json.dumps(row) + "\n" for row in rows).encode()
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    elif path.suffix == ".gz":
        path.write_bytes(gzip.compress(lines))
    elif path.suffix == ".zst":
        with pa.output_stream(str(path), compression="zstd") as stream:
            stream.write(lines)
    else:
        path.write_bytes(lines)
    return path


@pytest.fixture(params=["s.jsonl", "s.jsonl.gz", "s.jsonl.zst", "s.parquet"])
def file(request, tmp_path):
    return tmp_path / request.param


def test_samples_without_index_are_numbered_in_the_order_of_the_file(opened, file):
    samples = ask(opened(write(file, ROWS)), "p1", [0, 3, 2])
    assert [sample.text for sample in samples] == [ROWS[1]["text"], ROWS[10]["text"], ROWS[7]["text"]]
    assert [(sample.index, sample.seed, sample.model) for sample in samples] == [
        (0, 100, "model"),
        (3, 103, "model"),
        (2, 102, "model"),
    ]
    assert {sample.finish_reason for sample in samples} == {FinishReason.STOP}


def test_index_reason_tokens_and_log_probability_come_from_the_file(opened, file):
    row = {"problem_id": "p", "text": "x", "finish_reason": "length", "n_tokens": 7, "logprob_sum": -2.5}
    rows = [row | {"index": index, "text": f"x{index}"} for index in (2, 0, 1)]
    samples = ask(opened(write(file, rows)), "p", range(3))
    assert [sample.text for sample in samples] == ["x0", "x1", "x2"]
    first = samples[0]
    assert (first.finish_reason, first.n_tokens, first.logprob_sum) == (FinishReason.LENGTH, 7, -2.5)


def test_streaming_gives_what_sampling_gives(opened, file, request_for, puzzle):
    from collections import deque

    model = opened(write(file, [{"problem_id": "p0", "text": str(number)} for number in range(8)]))
    work = deque([request_for(puzzle(0), range(4)), request_for(puzzle(0), range(4, 8))])

    class Source:
        def take(self, wait):
            return work.popleft() if work else None

    streamed = [sample.text for batch in model.stream(Source(), LAW) for sample in batch]
    assert streamed == [str(number) for number in range(8)]


def test_numbers_as_problem_ids_are_read_as_text(opened, file):
    assert ask(opened(write(file, [{"problem_id": 17, "text": "a"}])), "17", [0])[0].text == "a"


@pytest.mark.parametrize(
    ("rows", "problem", "index", "says"),
    [
        (ROWS, "p1", 4, "problem 'p1' has 4 samples, and not number 4 .counted from 0.; lower --n"),
        (ROWS, "q", 0, "have no problem 'q'; they have 3, as 'p0', 'p1', 'p2'"),
        ([{"problem_id": "p", "text": "a", "index": 1}], "p", 0, "not number 0"),
        ([{"problem_id": "p", "text": "a", "index": 0}] * 2, "p", 0, "problem 'p' has sample 0 twice"),
        ([{"problem_id": "p", "text": "a", "index": -1}], "p", 0, "row 1: index is -1"),
        ([{"problem_id": "p", "text": "a", "finish_reason": "odd"}], "p", 0, "row 1: finish_reason is 'odd'"),
        ([{"problem_id": "p", "answer": "a"}], "p", 0, "lacks the column 'text'"),
        ([{"problem_id": "p", "text": None}], "p", 0, "row 1: problem_id and text must both be there"),
        ([{"problem_id": "p", "text": "a", "task": "other"}], "p", 0, "hold none of task 't'"),
    ],
)
def test_a_fault_is_one_line_that_names_file_and_row(opened, file, rows, problem, index, says):
    with pytest.raises(ModelError, match=says) as caught:
        ask(opened(write(file, rows)), problem, [index])
    assert str(file) in str(caught.value) and "\n" not in str(caught.value)


def test_some_indices_only_are_refused(opened, tmp_path):
    rows = [{"problem_id": "p", "text": "a", "index": 0}, {"problem_id": "p", "text": "b"}]
    with pytest.raises(ModelError, match="some rows have an index and some have none"):
        ask(opened(write(tmp_path / "s.jsonl", rows)), "p", [0])


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("s.jsonl", b'{"problem_id": "p", "text": "a"}\n{"problem', "row 2: not JSON"),
        ("s.jsonl", b"[1]\n", "row 1: not an object"),
        ("s.jsonl.gz", b"no gzip", "cannot be read"),
        ("s.jsonl.zst", b"no zstd", "cannot be read"),
        ("s.parquet", b"no parquet", "damaged or no Parquet file"),
        ("s.csv", b"", "not one of .jsonl"),
    ],
)
def test_a_damaged_file_is_one_line(opened, tmp_path, name, content, says):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ModelError, match=says) as caught:
        ask(opened(tmp_path / name), "p", [0])
    assert "\n" not in str(caught.value)


def test_no_file_is_told_before_the_run(tmp_path):
    with pytest.raises(ModelError, match="no such file or folder"):
        ReplaySampler().profile(ModelRequest("model", str(tmp_path / "none.jsonl")))
    with pytest.raises(UsageError, match="no argument 'rol'"):
        ReplaySampler().profile(ModelRequest("model", str(tmp_path), args={"rol": "base"}))


def test_a_folder_holds_one_task_or_a_file_for_each(opened, tmp_path):
    write(tmp_path / "a.jsonl", [{"problem_id": "p", "text": "of a"}])
    write(tmp_path / "b.parquet", [{"problem_id": "p", "text": "of b"}])
    model = opened(tmp_path)
    assert [ask(model, "p", [0], task)[0].text for task in ("a", "b", "a")] == ["of a", "of b", "of a"]


def test_a_changed_file_has_another_hash(opened, tmp_path):
    before = opened(write(tmp_path / "s.jsonl", ROWS)).facts.weight_hash
    assert before == opened(tmp_path / "s.jsonl").facts.weight_hash
    assert before != opened(write(tmp_path / "s.jsonl", ROWS[:-1])).facts.weight_hash


@pytest.mark.slow
def test_a_run_is_replayed_from_its_folder(harness, tiny_base, tiny_model, tmp_path):
    from rlvr_harness.run_reader import read_samples

    words = ["--tasks", "countdown", "--limit", 2, "--k", 4, "--quiet", "--workers", 1]
    first, second = tmp_path / "first", tmp_path / "second"
    done = harness("run", "--model", tiny_model, "--base", tiny_base, *words, "--threads", 1, "-o", first)
    assert done.returncode == 0, done.stderr
    done = harness("run", "--model", first, "--base", first, "--sampler", "replay", *words, "-o", second)
    assert done.returncode == 0, done.stderr

    def rows(folder, role):
        return sorted(
            (s.problem_id, s.index, s.text, s.finish_reason, s.n_tokens)
            for s in read_samples(folder, "countdown", role)
        )

    for role in ("base", "model"):
        assert rows(first, role) == rows(second, role) != []
    done = harness("run", "--model", first, "--sampler", "replay", *words[:-3], "--n", 5, "-o", tmp_path / "third")
    assert done.returncode == 1
    assert "has 4 samples, and not number 4" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.slow
def test_a_hundred_thousand_samples_take_little_memory_and_two_seconds_each_way(opened, tmp_path):
    """100,000 samples of 2.5 kB, 250 MB of text: what stays in memory is below 20 MB."""
    import tracemalloc

    problems, n = 100, 1000
    text = "x" * 2400
    numbers = np.random.default_rng(0).permutation(problems * n)
    rows = {
        "problem_id": [f"p{number // n}" for number in numbers],
        "index": [int(number % n) for number in numbers],
        "text": [f"{number} {text}" for number in numbers],
        "n_tokens": [700] * len(numbers),
    }
    pq.write_table(pa.table(rows), tmp_path / "s.parquet", compression="zstd")
    del rows
    model = opened(tmp_path / "s.parquet")
    tracemalloc.start()
    ask(model, "p0", [0])
    kept = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert kept < 20e6
    began = time.perf_counter()
    for number in range(problems):
        found = ask(model, f"p{number}", range(n))
        assert found[7].text.startswith(f"{number * n + 7} ")
    assert problems * n / (time.perf_counter() - began) > 10_000
    model.close()
