"""Samples of other programs, from their files to a run folder: rows, verdicts, refusals."""

import gzip
import json
import zipfile

import pyarrow as pa
import pytest

import rlvr_exchange
from rlvr_counts.importer import CountsImporter
from rlvr_exchange.documents import list_elements, top_keys
from rlvr_harness import Counts, FinishReason, ForeignChoice, Outcome, SampleImporter, TaskError, UsageError
from rlvr_harness.foreign_files import ImportChoice, find_importer
from rlvr_harness.import_results import import_samples
from rlvr_harness.registry import Plugin, Registry
from rlvr_harness.requests import ImportRequest
from rlvr_harness.run_reader import read_json, read_problems, read_samples, read_verdicts

IMPORTERS = {one.name: one for one in (*rlvr_exchange.provide_importers(), CountsImporter())}
STAMP = "2026-01-02T03-04-05.678901"


@pytest.fixture
def put(tmp_path):
    """put(name, rows or object) -> the file, as JSONL or as JSON by its name."""

    def write(name, content):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        text = content if isinstance(content, str) else None
        if text is None and ".jsonl" in name:
            text = "".join(json.dumps(row) + "\n" for row in content)
        text = json.dumps(content, indent=4) if text is None else text
        path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
        return path

    return write


def rows_of(form, path, **choice):
    return list(IMPORTERS[form].rows(path, ForeignChoice(**choice)))


def outcomes(rows):
    return {row.problem_id: [sample.outcome for sample in row.samples] for row in rows}


def lm_eval_row(doc_id, texts, score, filter_name="none", **more):
    return {
        "doc_id": doc_id,
        "doc": {"q": f"question {doc_id}"},
        "target": str(doc_id),
        "arguments": {"gen_args_0": {"arg_0": f"Q{doc_id}:", "arg_1": {"until": []}}},
        "resps": [texts],
        "filtered_resps": [texts[0][-1:]] if len(texts) == 1 else [[text[-1:] for text in texts]],
        "filter": filter_name,
        "metrics": ["exact_match"],
        "doc_hash": f"h{doc_id}",
        "exact_match": score,
        **more,
    }


R, W, V = Outcome.RIGHT, Outcome.WRONG, Outcome.VOID


def test_lm_eval_rows_carry_text_answer_prompt_and_reference(put):
    path = put(f"samples_sums_{STAMP}.jsonl", [lm_eval_row(7, ["it is 7"], 1.0), lm_eval_row(8, ["it is 9"], 0.0)])
    first, second = rows_of("lm-eval", path)
    (sample,) = first.samples
    assert (first.problem_id, first.prompt, first.reference, first.fingerprint) == ("7", "Q7:", "7", "h7")
    assert (sample.text, sample.outcome, sample.answer, first.judge) == ("it is 7", R, "7", "exact_match,none")
    assert second.samples[0].outcome is W
    assert IMPORTERS["lm-eval"].tasks(path) == ["sums"]


def test_lm_eval_filters_do_not_double_the_samples_and_can_be_chosen(put):
    rows = [lm_eval_row(i, ["x 1"], float(i), "strict") for i in (0, 1)]
    rows += [lm_eval_row(i, ["x 1"], 1.0, "loose") for i in (0, 1)]
    path = put(f"samples_t_{STAMP}.jsonl", rows)
    assert outcomes(rows_of("lm-eval", path)) == {"0": [W], "1": [R]}
    assert outcomes(rows_of("lm-eval", path, metric="exact_match,loose")) == {"0": [R], "1": [R]}
    with pytest.raises(UsageError, match="no row has filter 'odd'; there is strict, loose"):
        rows_of("lm-eval", path, metric="exact_match,odd")


def test_lm_eval_repeats_have_a_verdict_each_a_count_or_none(put):
    listed = put("a.jsonl", [lm_eval_row(0, ["a 1", "b 2", "c 3"], [1, 0, 1])])
    assert outcomes(rows_of("lm-eval", listed)) == {"0": [R, W, R]}
    row = lm_eval_row(0, ["a 1", "b 2", "c 3", "d 4"], None, metrics=["pass@1"], **{"pass@1": 0.75})
    (counted,) = rows_of("lm-eval", put("b.jsonl", [row]))
    assert counted.right == 3
    (single,) = rows_of("lm-eval", put("c.jsonl", [lm_eval_row(0, ["a 1", "b 2"], 1.0)]))
    assert [sample.outcome for sample in single.samples] == [None, None]


def test_lm_eval_rows_of_one_document_are_further_samples(put):
    path = put("a.jsonl", [lm_eval_row(0, ["a"], 1.0), lm_eval_row(0, ["b"], 0.0)])
    counts = dict(IMPORTERS["lm-eval"].read(ImportRequest("t", {"model": path})))
    assert counts == {"model": Counts(("0",), (2,), (1,))}
    old = [{key: value for key, value in lm_eval_row(0, ["a"], 1.0).items() if key != "filter"}] * 2
    with pytest.raises(TaskError, match=r"line 2: doc_id 0 stands at .* line 1 already"):
        rows_of("lm-eval", put("old.jsonl", old))


def test_a_score_between_0_and_1_needs_a_threshold(put):
    path = put("a.jsonl", [lm_eval_row(0, ["a"], 0.4), lm_eval_row(1, ["a"], 0.6)])
    with pytest.raises(UsageError, match=r"line 1: 'exact_match' is 0.4, neither 0 nor 1; .*--threshold T"):
        rows_of("lm-eval", path)
    assert outcomes(rows_of("lm-eval", path, threshold=0.5)) == {"0": [W], "1": [R]}


def test_two_scores_are_a_doubt_that_is_refused(put):
    row = lm_eval_row(0, ["a"], 1.0, metrics=["exact_match", "math_verify"], math_verify=0)
    path = put("a.jsonl", [row])
    with pytest.raises(UsageError, match="which metric decides"):
        rows_of("lm-eval", path)
    assert outcomes(rows_of("lm-eval", path, metric="math_verify")) == {"0": [W]}


def test_loglikelihood_rows_are_refused(put):
    row = lm_eval_row(0, ["a"], 1.0, resps=[[["-1.5", "False"]], [["-2.5", "False"]]])
    with pytest.raises(TaskError, match="expected generated texts, as generate_until tasks have them"):
        rows_of("lm-eval", put("a.jsonl", [row]))


EVALPLUS = {
    "date": "2026-01-01 00:00",
    "hash": "ab",
    "eval": {
        "HumanEval/0": [
            {"task_id": "HumanEval/0", "solution": "a", "base_status": "pass", "plus_status": "pass"},
            {"task_id": "HumanEval/0", "solution": "b", "base_status": "pass", "plus_status": "fail"},
            {"task_id": "HumanEval/0", "solution": "b", "base_status": "timeout", "plus_status": "pass"},
        ]
    },
}


def test_evalplus_right_is_base_and_plus_unless_base_is_asked_for(put):
    put("x.jsonl", [{"task_id": "HumanEval/0", "solution": "a"}])
    path = put("x_eval_results.json", EVALPLUS)
    (row,) = rows_of("evalplus", path.with_name("x.jsonl"))
    assert [(s.outcome, s.reason) for s in row.samples] == [(R, "pass"), (W, "fail"), (W, "timeout")]
    assert outcomes(rows_of("evalplus", path, metric="base")) == {"HumanEval/0": [R, R, W]}
    assert row.samples[1].answer == row.samples[2].answer != row.samples[0].answer
    assert IMPORTERS["evalplus"].tasks(path) == ["humanevalplus"]


def test_evalplus_base_only_results_are_judged_by_base(put):
    results = [{"solution": "a", "base_status": "pass", "plus_status": None}]
    path = put("x_eval_results.json", {"eval": {"Mbpp/2": results}})
    assert [row.judge for row in rows_of("evalplus", path)] == ["base"]
    with pytest.raises(UsageError, match="no metric 'plus'; there is base"):
        rows_of("evalplus", path, metric="plus")


def test_evalplus_old_results_have_verdicts_alone(put):
    old = {"nfiles": 2, "base": [["pass", []], ["pass", []]], "plus": [["fail", []], ["pass", []]]}
    (row,) = rows_of("evalplus", put("eval_results.json", {"eval": {"HumanEval/1": old}}))
    assert [(s.text, s.outcome) for s in row.samples] == [(None, W), (None, R)]


def test_livecodebench_lists_go_together(put):
    element = {
        "question_id": "abc1",
        "question_content": "Add.",
        "starter_code": "",
        "output_list": ["```x```", "none"],
        "code_list": ["x", ""],
        "graded_list": [True, False],
    }
    path = put("Scenario.codegeneration_2_0.2_eval_all.json", [element])
    (row,) = rows_of("livecodebench", path)
    assert [(s.text, s.outcome, s.reason) for s in row.samples] == [
        ("```x```", R, "passed"),
        ("none", W, "no_program"),
    ]
    assert row.prompt == "Add."
    with pytest.raises(TaskError, match=r"different lengths \(graded_list 2, output_list 1"):
        rows_of("livecodebench", put("y_eval_all.json", [{**element, "output_list": ["a"]}]))
    with pytest.raises(TaskError, match="question_id 'abc1' stands in the file already"):
        rows_of("livecodebench", put("z_eval_all.json", [element, element]))


def math_row(idx, score, **more):
    texts = [f"\\boxed{{{j}}}" for j in range(len(score))]
    return {"idx": idx, "question": f"q{idx}", "gt": "0", "code": texts, "pred": ["0", "1"], "score": score} | more


def test_math_eval_files_of_several_seeds_are_further_samples(put):
    for seed, score in ((1, [True, False]), (2, [False, False])):
        row = math_row(0, score, finish_reason=["stop", "length"])
        put(f"run/aime24/test_qwen-boxed_-1_seed{seed}_t0.6_s0_e-1.jsonl", [row])
    folder = put("run/aime24/metrics.json", {}).parent.parent
    rows = rows_of("math-eval", folder)
    assert IMPORTERS["math-eval"].tasks(folder) == ["aime24"]
    assert [[s.outcome for s in row.samples] for row in rows] == [[R, W], [W, W]]
    assert [s.finish_reason for s in rows[0].samples] == [FinishReason.STOP, FinishReason.LENGTH]
    assert [s.answer for s in rows[0].samples] == ["0", "1"]
    put("run/aime24/test_qwen-boxed_-1_seed3_t1.0_s0_e-1.jsonl", [math_row(0, [True, True])])
    with pytest.raises(UsageError, match="different settings"):
        rows_of("math-eval", folder)


def test_math_eval_refuses_a_problem_twice_in_one_seed(put):
    with pytest.raises(TaskError, match="line 2: problem '0' of seed"):
        rows_of("math-eval", put("a.jsonl", [math_row(0, [True, True])] * 2))


def inspect_sample(name, epoch, scores, **more):
    message = {
        "role": "assistant",
        "content": [{"type": "reasoning", "reasoning": "hm"}, {"type": "text", "text": "4"}],
    }
    choices = [{"message": message, "stop_reason": "max_tokens"}]
    output = {"choices": choices, "usage": {"output_tokens": 9}}
    sample = {"id": name, "epoch": epoch, "input": "attachment://abc", "target": ["4"], "output": output}
    return sample | {"attachments": {"abc": "2+2?"}, "scores": scores} | more


def eval_log(path, samples, method):
    header = json.dumps({"status": "success", "eval": {"task": "pkg/sums"}}).encode()
    contents = {"header.json": header}
    contents |= {f"samples/{s['id']}_epoch_{s['epoch']}.json": json.dumps(s).encode() for s in samples}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as opened:
        for name, content in contents.items():
            opened.writestr(name, content)
    return path if method == "deflate" else as_zstd(path, contents)


def as_zstd(path, contents):
    """The archive anew, members packed with zstd, as inspect-ai writes it."""
    import struct
    import zlib

    body, directory = b"", b""
    for name, content in contents.items():
        sink = pa.BufferOutputStream()
        with pa.CompressedOutputStream(sink, "zstd") as packer:
            packer.write(content)
        packed = sink.getvalue().to_pybytes()
        common = struct.pack(
            "<HHHHHIIIHH", 20, 0, 93, 0, 33, zlib.crc32(content), len(packed), len(content), len(name), 0
        )
        tail = struct.pack("<HHHII", 0, 0, 0, 0, len(body)) + name.encode()
        directory += b"PK\x01\x02" + struct.pack("<H", 20) + common + tail
        body += b"PK\x03\x04" + common + name.encode() + packed
    end = struct.pack("<HHHHIIH", 0, 0, len(contents), len(contents), len(directory), len(body), 0)
    path.write_bytes(body + directory + b"PK\x05\x06" + end)
    return path


@pytest.mark.parametrize("method", ["deflate", "zstd"])
def test_inspect_epochs_are_samples_and_letters_are_verdicts(tmp_path, method):
    values = ["C", "I", "P", "N", 1, 0.0, True]
    samples = [inspect_sample("p", at, {"match": {"value": v, "answer": "4"}}) for at, v in enumerate(values, 1)]
    path = eval_log(tmp_path / "log.eval", samples, method)
    rows = rows_of("inspect", path)
    assert [row.samples[0].outcome for row in rows] == [R, W, W, W, R, W, R]
    sample = rows[0].samples[0]
    assert (rows[0].prompt, rows[0].reference, sample.text) == ("2+2?", "4", "<think>\nhm\n</think>\n4")
    assert (sample.answer, sample.n_tokens, sample.finish_reason) == ("4", 9, FinishReason.LENGTH)
    assert IMPORTERS["inspect"].tasks(path) == ["sums"]
    assert [row.samples[0].outcome for row in rows_of("inspect", path, threshold=0.5)][:4] == [R, W, R, W]


def test_inspect_scorers_are_chosen_and_errors_are_void(tmp_path):
    scores = {"a": {"value": "C"}, "b": {"value": {"x": 0, "y": 1}}}
    samples = [inspect_sample("p", 1, scores), inspect_sample("p", 2, {}, error={"message": "lost"})]
    path = eval_log(tmp_path / "log.eval", samples, "deflate")
    with pytest.raises(UsageError, match=r"which scorer decides\? There is a, b"):
        rows_of("inspect", path)
    assert [row.samples[0].outcome for row in rows_of("inspect", path, metric="b,y")] == [R, V]
    assert [row.samples[0].outcome for row in rows_of("inspect", path, metric="b,x")] == [W, V]


def test_an_inspect_log_in_json_reads_the_same(put):
    samples = [inspect_sample("p", 1, {"a": {"value": "C"}}), inspect_sample("p", 2, {"a": {"value": "I"}})]
    path = put("log.json", {"version": 2, "status": "success", "eval": {"task": "sums"}, "samples": samples})
    assert [row.samples[0].outcome for row in rows_of("inspect", path)] == [R, W]
    assert IMPORTERS["inspect"].recognises(path)


@pytest.mark.parametrize("cut", [10, 200])
def test_a_cut_inspect_log_is_named(tmp_path, cut):
    path = eval_log(tmp_path / "log.eval", [inspect_sample("p", 1, {"a": {"value": "C"}})], "deflate")
    path.write_bytes(path.read_bytes()[:-cut])
    with pytest.raises(TaskError, match=r"log\.eval"):
        rows_of("inspect", path)


def test_verifiers_rollouts_and_traces_give_rewards(put):
    rollout = {
        "example_id": 3,
        "prompt": [{"role": "user", "content": "2+2?"}],
        "completion": [{"role": "assistant", "content": "4"}],
        "answer": "4",
        "reward": 1.0,
        "metrics": {"format": 0.0},
        "is_truncated": True,
        "error": None,
    }
    path = put("out/results.jsonl", [rollout, {**rollout, "reward": 0.0, "error": {"error": "Lost"}}])
    put("out/metadata.json", {"env_id": "gsm8k"})
    first, second = rows_of("verifiers", path.parent)
    assert (first.problem_id, first.prompt, first.reference) == ("3", "2+2?", "4")
    assert (first.samples[0].text, first.samples[0].outcome, first.samples[0].finish_reason) == (
        "4",
        R,
        FinishReason.LENGTH,
    )
    assert second.samples[0].outcome is V
    assert [row.samples[0].outcome for row in rows_of("verifiers", path, metric="format")] == [W, V]
    assert IMPORTERS["verifiers"].tasks(path.parent) == ["gsm8k"]
    nodes = [{"message": {"role": "user", "content": "2+2?"}}, {"message": {"content": "5"}, "sampled": True}]
    trace = {
        "task": {"type": "T", "data": {"idx": 4, "prompt": "2+2?", "answer": "4"}},
        "nodes": nodes,
        "rewards": {"right": {"score": 1.0, "weight": 0.5}, "short": {"score": 1.0, "weight": 0.5}},
        "calls": [{"finish_reason": "stop", "usage": {"completion_tokens": 2}}],
        "ok": True,
    }
    episode = put("v1/traces.jsonl", [{"id": "e", "env": {"id": "gsm8k"}, "traces": [trace]}])
    (row,) = rows_of("verifiers", episode)
    assert (row.problem_id, row.samples[0].text, row.samples[0].outcome, row.samples[0].n_tokens) == ("4", "5", R, 2)


def test_plain_rows_take_labels_as_words_and_numbers(put):
    labels = ["right", "Wrong", True, 0, "void", "incorrect"]
    path = put("a.jsonl.gz", [{"problem_id": 1, "text": "t", "label": label} for label in labels])
    assert [row.samples[0].outcome for row in rows_of("samples", path)] == [R, W, R, W, V, W]
    both = put("b.jsonl", [{"problem_id": 1, "text": "t", "label": 1, "right": 0}])
    with pytest.raises(UsageError, match="which field is the verdict, right or label"):
        rows_of("samples", both)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"problem_id": 1, "text": "t", "right": 1}\n{"problem_id": 1, "text"', "line 2 is not JSON"),
        ('{"problem_id": 1, "text": "t", "right": 1}\n\n[1]', "line 3 is [1], not a JSON object"),
        ('{"problem_id": 1, "text": 5, "right": 1}', "line 1: 'text' is 5; expected a text"),
        ('{"text": "t", "right": 1}', "line 1: 'problem_id' is missing; expected a text or a number"),
        ('{"problem_id": 1, "text": "t", "right": "maybe"}', "line 1: 'right' is \"maybe\"; expected true or false"),
        ('{"problem_id": 1, "text": "t", "finish_reason": "eos"}', "expected one of stop, length, error"),
    ],
)
def test_a_fault_is_named_by_file_line_and_what_was_expected(put, text, message):
    path = put("a.jsonl", text)
    with pytest.raises(TaskError) as caught:
        rows_of("samples", path)
    assert str(path) in str(caught.value)
    assert message in str(caught.value)


def test_a_json_list_is_read_across_blocks_with_the_line_of_each_element(tmp_path, monkeypatch):
    monkeypatch.setattr("rlvr_exchange.documents.BLOCK_CHARACTERS", 3)
    path = tmp_path / "a.json"
    path.write_text('[\n {"a": 12345},\n 678,\n "x\\ny"\n]')
    assert [value for _, value in list_elements(path)] == [{"a": 12345}, 678, "x\ny"]
    assert [where.rpartition(" ")[2] for where, _ in list_elements(path)] == ["2", "3", "4"]
    path.write_text('[\n {"a": 1},\n {"a": 2')
    with pytest.raises(TaskError, match=r"a\.json"):
        list(list_elements(path))
    assert top_keys(path) == ["a"]


# --- the format is found from the content


@pytest.fixture
def registry():
    return Registry((Plugin("x", "x", "0", "x"),), {"importer": IMPORTERS, "verifier": {}}, {}, None)


def test_the_format_is_found_from_the_content(put, registry):
    files = {
        "lm-eval": put(f"samples_t_{STAMP}.jsonl", [lm_eval_row(0, ["a"], 1.0)]),
        "evalplus": put("x_eval_results.json", EVALPLUS),
        "livecodebench": put("y_eval_all.json", [{"question_id": "a", "graded_list": [True]}]),
        "math-eval": put("m.jsonl", [math_row(0, [True, False])]),
        "samples": put("s.jsonl", [{"problem_id": "a", "text": "b"}]),
        "verifiers": put("v.jsonl", [{"example_id": 0, "completion": "a", "reward": 1}]),
        "counts": put("c.csv", "problem_id,n,c\na,1,1\n"),
    }
    found = {name: find_importer(registry, "auto", {"model": path}).name for name, path in files.items()}
    assert found == {name: name for name in files}


def test_a_format_in_doubt_or_unknown_is_refused(put, registry):
    both = put("a.jsonl", [{"problem_id": "a", "text": "b", "n": 1, "c": 1}])
    with pytest.raises(UsageError, match="may be counts or samples; name it with --format"):
        find_importer(registry, "auto", {"model": both})
    with pytest.raises(UsageError, match="the format is none of counts, evalplus"):
        find_importer(registry, "auto", {"model": put("b.jsonl", [{"x": 1}])})
    with pytest.raises(TaskError, match="no such file or folder"):
        find_importer(registry, "auto", {"model": both.with_name("gone")})


# --- the run folder


def imported(tmp_path, form, files, task="", **how):
    folder = tmp_path / "run"
    results = import_samples(IMPORTERS[form], ImportRequest(task, files), folder, ImportChoice(**how))
    return folder, results


def plain(problem, labels, text="t{}", **more):
    rows = [{"problem_id": problem, "text": text.format(at), "right": label} for at, label in enumerate(labels)]
    return [row | more for row in rows]


def test_texts_verdicts_and_problems_stand_in_the_run_folder(put, tmp_path):
    base = put("b.jsonl", plain("p", [1, 0, 0], answer="4", prompt="2+2?", reference="4"))
    model = put("m.jsonl", plain("p", [1, 1], "same", prompt="2+2?", n_tokens=7, finish_reason="length"))
    folder, results = imported(tmp_path, "samples", {"base": base, "model": model}, "sums")
    assert [(p.problem_id, p.prompt, p.reference) for p in read_problems(folder, "sums")] == [("p", "2+2?", "4")]
    assert [(s.index, s.text) for s in read_samples(folder, "sums", "base")] == [(0, "t0"), (1, "t1"), (2, "t2")]
    stored = [v.outcome for v in read_verdicts(folder, "sums", "base", "imported:samples")]
    assert stored == [R, W, W]
    entry = results["tasks"]["sums"]
    of_base, of_model = entry["models"]["base"], entry["models"]["model"]
    assert [of_base["pass_at_k"][k]["value"] for k in ("1", "2")] == pytest.approx([1 / 3, 2 / 3])
    assert (of_model["samples"], of_model["right"], of_model["truncated"], of_model["mean_tokens"]) == (2, 2, 2, 7.0)
    assert of_model["duplicates"] == 0.5
    assert (of_base["truncated"], of_base["mean_tokens"]) == (None, None)
    assert entry["comparison"]["fairness"]["same_prompt"] is True
    assert read_json(folder, "run.json")["tasks"]["sums"]["verifier"] == "imported:samples"


@pytest.mark.parametrize(
    ("here", "message"),
    [
        ({"prompt": "3+3?"}, "line 1: problem 'p' has another prompt than in"),
        ({"reference": "5"}, "line 1: problem 'p' has another reference answer than in"),
    ],
)
def test_another_prompt_or_reference_under_one_id_is_refused_and_leaves_nothing(put, tmp_path, here, message):
    known = {"prompt": "2+2?", "reference": "4"}
    base = put("b.jsonl", plain("p", [1], **known))
    model = put("m.jsonl", plain("p", [1], **known | here))
    with pytest.raises(TaskError, match=message):
        imported(tmp_path, "samples", {"base": base, "model": model}, "sums")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b.jsonl", "m.jsonl"]


def test_other_prompts_pass_with_allow_unfair_and_are_said(put, tmp_path):
    files = {role: put(f"{role}.jsonl", plain("p", [1], prompt=role)) for role in ("base", "model")}
    folder, results = imported(tmp_path, "samples", files, "sums", allow_unfair=True)
    assert results["tasks"]["sums"]["comparison"]["fairness"]["same_prompt"] is False
    assert read_problems(folder, "sums", "model")[0].prompt == "model"
    assert read_problems(folder, "sums", "base")[0].prompt == "base"


def test_files_without_a_shared_problem_are_refused(put, tmp_path):
    files = {role: put(f"{role}.jsonl", plain(role, [1])) for role in ("base", "model")}
    with pytest.raises(TaskError, match=r"share no problem \('model' here, 'base' there\)"):
        imported(tmp_path, "samples", files, "sums")


def test_samples_without_verdict_ask_for_a_verifier(put, tmp_path):
    path = put("m.jsonl", [{"problem_id": "p", "text": "t"}])
    with pytest.raises(TaskError, match=r"line 1: problem 'p' has a sample without verdict .*--verifier NAME"):
        imported(tmp_path, "samples", {"model": path}, "sums")


def test_all_tasks_that_both_folders_hold_are_imported(put, tmp_path):
    for role, tasks in (("base", "abc"), ("model", "bcd")):
        for task in tasks:
            put(f"{role}/org__m/samples_{task}_{STAMP}.jsonl", [lm_eval_row(0, ["x"], 1.0)])
    files = {role: tmp_path / role for role in ("base", "model")}
    _, results = imported(tmp_path, "lm-eval", files)
    assert list(results["tasks"]) == ["b", "c"]


def test_two_files_of_one_task_are_refused_by_name(put, tmp_path):
    for second in ("05", "06"):
        put(f"out/samples_a_2026-01-02T03-04-{second}.1.jsonl", [lm_eval_row(0, ["x"], 1.0)])
    with pytest.raises(UsageError, match=r"holds 2 files of task 'a' \(samples_a_2026-01-02T03-04-05"):
        imported(tmp_path, "lm-eval", {"model": tmp_path / "out"})


def test_verdicts_without_texts_become_counts_alone(put, tmp_path):
    old = {"base": [["pass", []], ["fail", []]], "plus": [["pass", []], ["fail", []]]}
    path = put("eval_results.json", {"eval": {"HumanEval/0": old}})
    folder, results = imported(tmp_path, "evalplus", {"model": path})
    assert results["tasks"]["humanevalplus"]["models"]["model"]["pass_at_k"]["1"]["value"] == 0.5
    assert not (folder / "samples").exists()
    assert "tasks" not in read_json(folder, "run.json")


def test_a_number_of_right_samples_is_enough_for_pass_at_k(put, tmp_path):
    row = lm_eval_row(0, ["a 1", "b 2", "c 3", "d 4"], None, metrics=["pass@1"], **{"pass@1": 0.5})
    folder, results = imported(tmp_path, "lm-eval", {"model": put("a.jsonl", [row])}, "t")
    # 1 - C(2, 2) / C(4, 2) = 5/6
    assert results["tasks"]["t"]["models"]["model"]["pass_at_k"]["2"]["value"] == pytest.approx(5 / 6)
    assert len(list(read_samples(folder, "t", "model"))) == 4


def test_every_importer_of_samples_obeys_the_contract():
    named = [one for one in IMPORTERS.values() if one.name != "counts"]
    assert len(named) == 7
    assert all(isinstance(one, SampleImporter) for one in named)
