"""lm-eval's own tasks as pass@k tasks: three shapes of scoring, each judged as lm-eval itself would."""

import importlib
import json
import pickle

import pytest

from rlvr_harness import FinishReason, Outcome, PromptRequest, Sample, TaskError, UsageError
from rlvr_harness.foreign_metric import MetricChoice, MetricRule
from rlvr_harness.foreign_tasks import LmEvalTask
from rlvr_harness.run_reader import read_samples, read_verdicts
from rlvr_harness.stages.verifying import VerifierPool

DOCS = [{"question": "1 + 1", "answer": "2"}, {"question": "2 + 2", "answer": "4"}]
TEXTS = ["#### 2", "so 9, then 2", "#### 4", "no digits", "", "#### 9 and 2", "4", "x" * 50]
YAML = """task: {name}
tag: [sums_tag]
dataset_path: json
dataset_kwargs: {{data_files: {{test: {data}}}}}
output_type: generate_until
test_split: test
doc_to_text: !function scoring.ask
process_docs: !function scoring.keep_all
doc_to_target: "{{{{answer}}}}"
generation_kwargs: {{until: ["\\n"], max_gen_toks: 7}}
metadata: {{version: 2.5}}
"""
EXACT = "metric_list: [{metric: exact_match, aggregation: mean, higher_is_better: true}]\n"
STRICT = """filter_list:
  - name: strict-match
    filter: [{function: regex, regex_pattern: "#### ([0-9]+)"}, {function: take_first}]
"""
FLEXIBLE = """  - name: flexible-extract
    filter: [{function: regex, regex_pattern: "([0-9]+)", group_select: -1}, {function: take_first}]
"""
SHARE = "process_results: !function scoring.share\n"
SCORING = """import time

def ask(doc):
    return "Q: " + doc["question"]

def keep_all(dataset):
    return dataset.map(lambda row: {"question": row["question"] + " = ?"})

def share(doc, results):
    text = results[0]
    return {"share": (text.count(doc["answer"]) + text.count("#")) / max(len(text), 1)}

def error_rate(doc, results):
    return {"error": abs(len(results[0]) - 5) * 1.5}

def two(doc, results):
    return {"first": 1, "second": 0}

def corpus(doc, results):
    return {"f1": (doc["answer"], results[0])}

def no_names(doc, results):
    return [1.0]

def picky(doc, results):
    if "boom" in results[0]:
        raise KeyError("boom")
    return {"exact_match": int(results[0] == doc["answer"])}

def noisy(doc, results):
    print("scoring")
    return {"exact_match": results[0] == doc["answer"]}
"""


@pytest.fixture
def folder(tmp_path):
    """folder(sums="more YAML", ...) -> a folder with one task per keyword."""

    def make(**tasks):
        (tmp_path / "data.jsonl").write_text("".join(json.dumps(doc) + "\n" for doc in DOCS))
        (tmp_path / "scoring.py").write_text(SCORING)
        for name, extra in tasks.items():
            (tmp_path / f"{name}.yaml").write_text(YAML.format(name=name, data=tmp_path / "data.jsonl") + extra)
        return tmp_path

    return make


def load(folder, metric=None, threshold=None):
    return LmEvalTask("lm_eval:sums", folder, MetricChoice(metric, threshold)).load(PromptRequest())


def judge(loaded, number, text):
    problem = loaded.problems[number]
    return loaded.verifier.verify(problem, Sample("sums", "m", problem.problem_id, 0, 0, text, FinishReason.STOP, 1))


def lm_eval_scores(folder, number, text, key):
    """What lm-eval itself gives: its own requests, filters and process_results on one response."""
    manager = importlib.import_module("lm_eval.tasks").TaskManager(include_path=str(folder), include_defaults=False)
    task = manager.load(["sums"])["tasks"]["sums"]
    task.build_all_requests(rank=0, world_size=1)
    for instance in task.instances:
        instance.resps = [text]
    task.apply_filters()
    instance = task.instances[number]
    return task.process_results(instance.doc, [instance.filtered_resps[key]])


@pytest.mark.parametrize(
    ("extra", "metric", "threshold", "key"),
    [
        (EXACT + STRICT, None, None, ("exact_match", "strict-match")),
        (EXACT + STRICT + FLEXIBLE, "exact_match,flexible-extract", None, ("exact_match", "flexible-extract")),
        (SHARE, "share", 0.1, ("share", "none")),
    ],
    ids=["regex", "two filters", "process_results"],
)
def test_verdicts_are_those_of_lm_evals_own_scoring(folder, extra, metric, threshold, key):
    path = folder(sums=extra)
    loaded = load(path, metric, threshold)
    ours = [[judge(loaded, number, text).outcome is Outcome.RIGHT for text in TEXTS] for number in (0, 1)]
    limit = 1 if threshold is None else threshold
    theirs = [[lm_eval_scores(path, number, text, key[1])[key[0]] >= limit for text in TEXTS] for number in (0, 1)]
    assert ours == theirs
    assert {True, False} <= set(ours[0] + ours[1])


def test_prompts_come_from_the_tasks_own_functions(folder):
    assert [problem.prompt for problem in load(folder(sums=EXACT)).problems] == ["Q: 1 + 1 = ?", "Q: 2 + 2 = ?"]


def test_the_first_filter_judges_and_the_others_are_named(folder):
    loaded = load(folder(sums=EXACT + STRICT + FLEXIBLE + "repeats: 8\n"))
    assert judge(loaded, 0, "#### 2").answer == "2"
    assert judge(loaded, 0, "it is 2").reason == "no_answer"
    assert loaded.verifier.version.startswith("2.5 exact_match,strict-match = 1 ")
    assert "--metric can choose exact_match,flexible-extract" in loaded.notes[0]
    assert "its 8 repeats are ignored" in loaded.notes[1]


@pytest.mark.parametrize(
    ("extra", "metric", "threshold", "message"),
    [
        (EXACT, "f1", None, "has no metric 'f1'; there are: exact_match,none"),
        (
            EXACT + STRICT + FLEXIBLE,
            "exact_match,loose",
            None,
            "exact_match,strict-match; exact_match,flexible-extract",
        ),
        ("process_results: !function scoring.two\n", None, None, r"several metrics \(first, second\); choose"),
        (SHARE, None, None, "'share' gives .*, neither 0 nor 1; .*--metric share,none --threshold T"),
        ("process_results: !function scoring.corpus\n", "f1", 0.5, "metric 'f1' is a tuple per sample"),
        ("process_results: !function scoring.no_names\n", None, None, "process_results gives a list"),
        (EXACT + "filter_list: [{name: maj, filter: [{function: take_first_k, k: 4}]}]\n", None, None, "filter 'maj'"),
    ],
)
def test_a_doubt_about_the_metric_is_refused_before_sampling(folder, extra, metric, threshold, message):
    with pytest.raises((UsageError, TaskError), match=message):
        load(folder(sums=extra), metric, threshold)


def test_one_of_several_metrics_can_be_chosen(folder):
    path = folder(sums="process_results: !function scoring.two\n")
    assert judge(load(path, "first"), 0, "x").outcome is Outcome.RIGHT
    assert judge(load(path, "second"), 0, "x").outcome is Outcome.WRONG


def test_less_is_better_where_the_task_says_so(folder):
    listed = "metric_list: [{metric: error, aggregation: mean, higher_is_better: false}]\n"
    loaded = load(folder(sums="process_results: !function scoring.error_rate\n" + listed), "error", 1.5)
    # |length - 5| * 1.5: 4 letters give 1.5, 3 give 3.
    assert [judge(loaded, 0, text).outcome.value for text in ("abcd", "abc")] == ["right", "wrong"]


@pytest.mark.parametrize(("score", "fault"), [(0.4, UsageError), ((1, 2), UsageError), (float("nan"), ValueError)])
def test_a_score_that_decides_nothing_never_becomes_a_wrong(score, fault):
    with pytest.raises(fault, match="m"):
        MetricRule("t", "m", "none", None, True).is_right({"m": score})


def test_a_text_that_breaks_the_scoring_is_void_and_the_task_reaches_the_worker(folder, caplog, capfd):
    for name, texts, outcomes in (("picky", ["2", "boom"], "right void"), ("noisy", ["2", "3"], "right wrong")):
        loaded = load(folder(sums=f"{EXACT}process_results: !function scoring.{name}\n"))
        assert pickle.loads(pickle.dumps(loaded.verifier)) == loaded.verifier
        problem = loaded.problems[0]
        samples = [Sample("sums", "m", "0", i, 0, text, FinishReason.STOP, 1) for i, text in enumerate(texts)]
        with VerifierPool(loaded.verifier, 1) as pool:
            pool.submit(problem, samples)
            verdicts = sorted(pool.drain(), key=lambda verdict: verdict.index)
        assert " ".join(verdict.outcome.value for verdict in verdicts) == outcomes
    assert "KeyError: 'boom'" in caplog.text
    assert capfd.readouterr().out == ""


def test_a_group_or_tag_stands_for_its_tasks(folder):
    path = folder(sums=EXACT, more=EXACT)
    (path / "g.yaml").write_text("group: both\ntask: [sums, more]\n")
    (path / "h.yaml").write_text("group: changed\ntask: [{task: sums, num_fewshot: 3}]\n")
    assert LmEvalTask("both", path).members() == ["lm_eval:sums", "lm_eval:more"]
    assert LmEvalTask("lm_eval:sums_tag", path).members() == ["lm_eval:more", "lm_eval:sums"]
    with pytest.raises(UsageError, match="options of its own; name the tasks that you mean: sums"):
        LmEvalTask("changed", path).members()


def test_unsafe_code_is_refused_before_the_task_loads_any(folder):
    path = folder(sums="unsafe_code: true\nprocess_results: !function missing.nothing\n")
    with pytest.raises(TaskError, match="runs model-written code outside a sandbox"):
        load(path)


def test_a_run_judges_with_metric_and_threshold_and_verify_takes_another(folder, harness, tiny_model, tmp_path):
    words = ["--tasks", "lm_eval:sums", "--include_path", folder(sums=SHARE), "--k", 2, "--threads", 1, "--quiet"]
    run = tmp_path / "run"
    done = harness("run", "--model", tiny_model, *words, "--metric", "share", "--threshold", "0", "-o", run)
    assert done.returncode == 0, done.stderr
    record = json.loads((run / "run.json").read_text())
    assert (record["spec"]["metric"], record["spec"]["threshold"]) == ("share", 0.0)
    assert "--metric share --threshold 0.0" in record["command"]
    assert "share,none >= 0" in record["tasks"]["lm_eval:sums"]["verifier_version"]
    verdicts = list(read_verdicts(run, "lm_eval:sums", "model", "lm-eval"))
    texts = {(s.problem_id, s.index): s.text for s in read_samples(run, "lm_eval:sums", "model")}
    assert {(v.problem_id, v.index): v.answer for v in verdicts} == texts
    assert [v.outcome for v in verdicts] == [Outcome.RIGHT] * 4
    again = harness("verify", run, "--metric", "share", "--threshold", "1.5", "--quiet")
    assert again.returncode == 0, again.stderr
    model = json.loads((run / "results.json").read_text())["tasks"]["lm_eval:sums"]["models"]["model"]
    assert (model["samples"], model["right"], model["wrong"]) == (4, 0, 4)
    assert json.loads((run / "run.json").read_text())["spec"]["threshold"] == 1.5
