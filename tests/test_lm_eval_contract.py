"""What the bridge relies on in lm-eval: the symbols it names, tasks judged by their own metric, results files."""

import ast
import importlib
import inspect
import json
from pathlib import Path

import pytest

from rlvr_harness import FinishReason, ModelError, Outcome, PromptRequest, Sample, TaskError
from rlvr_harness.foreign_tasks import LmEvalTask
from rlvr_harness.lm_eval_bridge import is_lm_eval_name, open_lm, write_lm_eval_results

BRIDGE = Path(__file__).parent.parent / "rlvr_harness" / "lm_eval_bridge.py"
USED = {
    "lm_eval",
    "lm_eval.api.instance.Instance",
    "lm_eval.api.registry.get_model",
    "lm_eval.api.task.ConfigurableTask",
    "lm_eval.loggers.EvaluationTracker",
    "lm_eval.models.MODEL_MAPPING",
    "lm_eval.tasks.TaskManager",
}
YAML = """task: sums
dataset_path: json
dataset_kwargs:
  data_files:
    test: {data}
output_type: {output_type}
test_split: test
doc_to_text: "Q: {{{{question}}}}\\nA:"
doc_to_target: "{{{{answer}}}}"
generation_kwargs:
  until: {until}
  max_gen_toks: 7
metric_list:
  - metric: exact_match
    ignore_case: true
    ignore_punctuation: true
{extra}
metadata:
  version: 2.5
"""
DOCS = [{"question": "1 + 1", "answer": "Two"}, {"question": "2 + 2", "answer": "Four"}]


def imported_symbols():
    nodes = [node for node in ast.walk(ast.parse(BRIDGE.read_text())) if isinstance(node, ast.Import | ast.ImportFrom)]
    plain = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    named = {f"{n.module}.{alias.name}" for n in nodes if isinstance(n, ast.ImportFrom) for alias in n.names}
    return {name for name in plain | named if name.partition(".")[0] == "lm_eval"}


def test_the_bridge_uses_these_symbols_and_no_others():
    assert imported_symbols() == USED


@pytest.mark.parametrize("symbol", sorted(USED - {"lm_eval"}))
def test_lm_eval_has_each_symbol(symbol):
    module, _, name = symbol.rpartition(".")
    assert hasattr(importlib.import_module(module), name)


def test_lm_eval_opens_models_under_the_name_hf():
    get_model = importlib.import_module("lm_eval.api.registry").get_model
    model_class = get_model("hf")
    assert model_class.__name__ == "HFLM"
    assert {"create_from_arg_obj", "tok_batch_encode", "model", "tokenizer"} <= set(dir(model_class))


def test_lm_eval_models_can_be_asked_about_tokens():
    model = importlib.import_module("lm_eval.api.model").TemplateLM
    assert {"_loglikelihood_tokens", "tok_encode", "prefix_token_id", "backend", "tokenizer"} <= set(dir(model))
    asked = inspect.signature(importlib.import_module("lm_eval.api.registry").get_model("hf")._loglikelihood_tokens)
    assert list(asked.parameters)[:3] == ["self", "requests", "disable_tqdm"]


def test_lm_eval_tasks_have_what_the_bridge_reads():
    task = importlib.import_module("lm_eval.api.task").ConfigurableTask
    used = {"build_all_requests", "process_results", "doc_to_target", "set_config", "set_fewshot_seed"}
    used |= {"OUTPUT_TYPE", "VERSION", "DATASET_PATH", "instances", "config"}
    assert used <= set(dir(task))
    config = importlib.import_module("lm_eval.config.task").TaskConfig
    assert {"unsafe_code", "generation_kwargs"} <= set(config.__dataclass_fields__)


def test_an_unknown_model_type_is_refused():
    with pytest.raises(ModelError, match="lm-eval knows no model type 'no-such-type'"):
        open_lm("no-such-type", {})


def test_a_model_that_does_not_open_is_one_line(tmp_path):
    with pytest.raises(ModelError, match="cannot open model '") as caught:
        open_lm("hf", {"pretrained": str(tmp_path)}, "cpu")
    assert "\n" not in str(caught.value)


@pytest.fixture(scope="module")
def foreign_task(tmp_path_factory):
    """foreign_task(output_type, extra, until) -> the task `sums` of a folder of its own."""

    def make(output_type="generate_until", extra="", until='["\\n"]'):
        folder = tmp_path_factory.mktemp("tasks")
        (folder / "data.jsonl").write_text("".join(json.dumps(doc) + "\n" for doc in DOCS))
        text = YAML.format(data=folder / "data.jsonl", output_type=output_type, extra=extra, until=until)
        (folder / "sums.yaml").write_text(text)
        return LmEvalTask("sums", folder)

    return make


@pytest.fixture(scope="module")
def loaded(foreign_task):
    return foreign_task().load(PromptRequest())


def judge(loaded, number, text):
    problem = loaded.problems[number]
    sample = Sample("sums", "model", problem.problem_id, 5, 0, text, FinishReason.STOP, 1)
    return loaded.verifier.verify(problem, sample)


def test_a_foreign_task_gives_prompts_stops_and_budget(loaded):
    assert [problem.prompt for problem in loaded.problems] == ["Q: 1 + 1\nA:", "Q: 2 + 2\nA:"]
    assert [problem.reference for problem in loaded.problems] == ["Two", "Four"]
    assert {problem.stop for problem in loaded.problems} == {("\n",)}
    assert loaded.max_gen_toks == 7
    assert len(loaded.data_hash) == 64


@pytest.mark.parametrize(
    ("text", "outcome"),
    [
        ("two", Outcome.RIGHT),
        (" Two.", Outcome.RIGHT),
        ("four", Outcome.WRONG),
        ("two two", Outcome.WRONG),
        ("", Outcome.WRONG),
    ],
)
def test_a_foreign_task_is_judged_by_its_own_metric(loaded, text, outcome):
    # lm-eval's default filter takes the first response; exact_match here ignores case and punctuation.
    verdict = judge(loaded, 0, text.strip())
    assert (verdict.problem_id, verdict.index, verdict.outcome) == ("0", 5, outcome)


def test_a_foreign_tasks_own_filter_is_applied(foreign_task):
    extra = """filter_list:
  - name: last
    filter:
      - function: regex
        regex_pattern: 'answer is ([a-z]+)'
      - function: take_first
"""
    loaded = foreign_task(extra=extra).load(PromptRequest())
    assert judge(loaded, 1, "I think the answer is four").outcome is Outcome.RIGHT
    assert judge(loaded, 1, "I think the answer is four").answer == "four"
    assert judge(loaded, 1, "four").outcome is Outcome.WRONG


@pytest.mark.parametrize(
    ("until", "stop"), [('"END"', ("END",)), ('["a", "END"]', ("a", "END")), ("[]", ()), ('[""]', ())]
)
def test_stop_strings_of_a_foreign_task_are_kept_whole(foreign_task, until, stop):
    assert foreign_task(until=until).load(PromptRequest(limit=1)).problems[0].stop == stop


def test_a_limit_keeps_the_first_problems(foreign_task):
    assert [p.prompt for p in foreign_task().load(PromptRequest(limit=1)).problems] == ["Q: 1 + 1\nA:"]


def test_worked_examples_come_before_the_question(foreign_task):
    task = foreign_task(extra="fewshot_split: test")
    prompt = task.load(PromptRequest(num_fewshot=1)).problems[0].prompt
    assert prompt == "Q: 2 + 2\nA: Four\n\nQ: 1 + 1\nA:"


def test_a_task_without_completions_is_refused(foreign_task):
    with pytest.raises(TaskError, match="task 'sums' is 'loglikelihood'; pass@k needs an lm-eval generate_until task"):
        foreign_task("loglikelihood").load(PromptRequest())


def test_a_task_that_runs_what_models_write_is_refused(foreign_task):
    with pytest.raises(TaskError, match="task 'sums' runs model-written code outside a sandbox"):
        foreign_task(extra="unsafe_code: true").load(PromptRequest())


def test_an_unknown_foreign_task_is_refused(foreign_task):
    with pytest.raises(TaskError, match="task 'other': lm-eval has no such task"):
        LmEvalTask("other", foreign_task().include_path).load(PromptRequest())


def test_tasks_built_into_lm_eval_are_known():
    assert is_lm_eval_name("arithmetic_2da")
    assert not is_lm_eval_name("countdown")


def test_results_are_written_as_lm_eval_writes_them(tmp_path):
    cells = {
        "1": {"value": 0.25, "low": 0.1, "high": 0.4},
        "4": {"value": 0.5, "low": None, "high": None},
    }
    results = {
        "run": {"models": {"base": {"path": "org/base"}}},
        "tasks": {"sums": {"problems": 2, "models": {"base": {"pass_at_k": cells}}}},
    }
    written = json.loads(write_lm_eval_results(results, "base", tmp_path).read_text())
    row = written["results"]["sums"]
    assert (row["pass@1,none"], row["pass@4,none"]) == (0.25, 0.5)
    assert row["pass@1_stderr,none"] == pytest.approx(0.3 / 3.92)
    assert written["n-samples"]["sums"] == {"original": 2, "effective": 2}
    assert written["model_source"] == "rlvr-harness"


@pytest.mark.parametrize("name", ["sums", "lm_eval:sums"])
def test_a_foreign_task_runs_from_the_command_line(harness, foreign_task, tiny_model, tmp_path, name):
    words = ["--tasks", name, "--include_path", foreign_task().include_path, "--k", 2, "--threads", 1, "--quiet"]
    done = harness("run", "--model", tiny_model, *words, "-o", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    model = json.loads((tmp_path / "run/results.json").read_text())["tasks"][name]["models"]["model"]
    assert (model["samples"], model["right"], model["void"]) == (4, 0, 0)
