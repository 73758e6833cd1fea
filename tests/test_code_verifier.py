"""The verifier of code tasks: verdicts of programs that run in the local sandbox."""

import json
import pickle
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

import rlvr_code
from rlvr_code.bench import Bench, Place
from rlvr_code.reward import CodeReward
from rlvr_code.sandboxes import NamedSandbox
from rlvr_code.stored_tests import StoredTests, default_folder
from rlvr_code.verifier import CodeVerifier
from rlvr_harness import FinishReason, Outcome, Problem, SandboxChoice, TaskError, UsageError, hookimpl
from rlvr_harness.checking import check_rows
from rlvr_harness.confining import confine
from rlvr_harness.registry import load_plugins
from rlvr_harness.stages.verifying import VerifierPool
from rlvr_harness.validation import validate_problems
from rlvr_sandbox.box import Isolation
from rlvr_sandbox.errors import SandboxUnavailable
from tests.code_fakes import (
    ADD,
    DOUBLE,
    HUB_PAIRS,
    MINUS,
    PAIRS,
    TRIPLE,
    livecodebench,
    load_evalplus,
    packed,
    sample_of,
    write_rows,
)

SHARED = Path(__file__).parent.parent.parent / "shared" / "data"
LEVEL = NamedSandbox("local").isolation().level
pytestmark = pytest.mark.skipif(LEVEL == 0, reason="no local sandbox on this system")


def place_in(folder):
    return Place(NamedSandbox("local"), "local", LEVEL, StoredTests(folder / "store"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("benchmarks")
    write_rows(folder / "humanevalplus/HumanEvalPlus.jsonl.gz", ADD, MINUS)
    write_rows(folder / "mbppplus/MbppPlus.jsonl.gz", PAIRS)
    private = packed([{"input": "-7\n", "output": "-14\n", "testtype": "stdin"}])
    write_rows(folder / "livecodebench/test.jsonl", {**DOUBLE, "private_test_cases": private}, TRIPLE)
    return folder


@pytest.fixture(scope="module")
def verifier(folder):
    return CodeVerifier(place=place_in(folder))


@pytest.fixture(scope="module")
def problems(folder):
    from rlvr_harness import PromptRequest

    loaded = [load_evalplus(name, folder) for name in ("humanevalplus", "mbppplus")]
    loaded.append(livecodebench(folder).load(PromptRequest(data_dir=folder)))
    return {problem.problem_id: problem for one in loaded for problem in one.problems}


def fenced(program):
    return f"```python\n{program}\n```"


@pytest.mark.parametrize(
    ("problem_id", "text", "outcome", "reason"),
    [
        ("HumanEval/0", "    return a + b\n\n\nprint(undefined)\n", "right", "passed"),
        ("HumanEval/0", "    return abs(a + b) + 0 * 1\n", "right", "passed"),
        ("HumanEval/0", "    return 3\n", "wrong", "wrong_answer"),
        ("HumanEval/0", "    return a / 0\n", "wrong", "raised: ZeroDivisionError"),
        ("HumanEval/0", "    import os\n    os._exit(0)\n", "wrong", "died"),
        ("HumanEval/0", "    while True: pass\n", "wrong", "timeout"),
        ("HumanEval/0", "    return [0] * 10**10\n", "wrong", "raised: MemoryError"),
        ("HumanEval/0", "", "wrong", "no_program"),
        ("HumanEval/0", "    return a + b + break\n", "wrong", "no_program"),
        ("Mbpp/2", "def swap(pair):\n    a, b = pair\n    return b, a\n", "right", "passed"),
        ("Mbpp/2", "def swap(pair):\n    return (2, 1)\n", "wrong", "wrong_answer"),
        ("Mbpp/2", "def swap(pair):\n    return list(pair[::-1])\n", "wrong", "wrong_answer"),
        ("Mbpp/2", fenced("def swap(pair):\n    return pair[::-1]"), "right", "passed"),
        ("1_A", fenced("print(2 * int(input()))"), "right", "passed"),
        ("1_A", fenced("print(abs(2 * int(input())))"), "wrong", "wrong_answer"),
        ("1_A", fenced("print(("), "wrong", "syntax_error"),
        ("1_A", "print(2 * int(input()))", "wrong", "no_program"),
        (
            "2_B",
            fenced("class Solution:\n    def triple(self, x: int) -> int:\n        return 3 * x"),
            "right",
            "passed",
        ),
        ("2_B", fenced("def triple(x):\n    return 3 * x"), "right", "passed"),
        (
            "2_B",
            fenced("class Solution:\n    def double(self, x):\n        return 6"),
            "wrong",
            "raised: AttributeError",
        ),
    ],
)
def test_a_program_is_judged_by_all_its_tests(problems, verifier, problem_id, text, outcome, reason):
    problem = problems[problem_id]
    verdict = verifier.verify(problem, sample_of(problem, text))
    assert (verdict.outcome.value, verdict.reason) == (outcome, reason)


def test_a_constant_that_satisfies_the_assertion_of_the_prompt_is_wrong(problems, verifier):
    problem = problems["Mbpp/2"]
    assert "assert swap((1, 2)) == (2, 1)" in problem.prompt
    assert verifier.verify(problem, sample_of(problem, "def swap(p):\n    return (2, 1)\n")).outcome is Outcome.WRONG


def test_a_cut_completion_without_a_program_is_truncated(problems, verifier):
    problem = problems["1_A"]
    for text in ("<think>so", "```python\nprint("):
        verdict = verifier.quick(problem, sample_of(problem, text, FinishReason.LENGTH))
        assert (verdict.outcome, verdict.reason, verdict.answer) == (Outcome.WRONG, "truncated", None)


def test_equal_programs_are_one_answer_and_one_key(problems, verifier):
    problem = problems["HumanEval/0"]
    one, same, other = (
        sample_of(problem, text)
        for text in ("    return a + b\n", "    return a + b\nprint(1)\n", "    return b + a\n")
    )
    assert verifier.verdict_key(problem, one) == verifier.verdict_key(problem, same)
    assert verifier.verdict_key(problem, one) != verifier.verdict_key(problem, other)
    answers = [verifier.verify(problem, sample).answer for sample in (one, same, other)]
    assert answers[0] == answers[1] != answers[2] and len(answers[0]) == 16


def test_a_program_and_no_program_never_share_a_key(problems, verifier):
    problem = problems["1_A"]
    keys = {verifier.verdict_key(problem, sample_of(problem, text)) for text in ("", fenced("none:stop"), fenced(""))}
    assert keys == {"none:stop", "program:none:stop\n"}


def test_a_problem_of_another_task_is_refused(verifier):
    problem = Problem("gsm8k", "0", "2 + 2?", "4")
    with pytest.raises(TaskError, match="verifier 'code' judges code tasks"):
        verifier.quick(problem, sample_of(problem, "4"))


def test_an_answer_policy_for_numbers_is_refused(problems, verifier):
    problem = problems["1_A"]
    other = replace(problem, metadata={**problem.metadata, "answer_policy": "answer_line"})
    with pytest.raises(TaskError, match="no answer policy 'answer_line' for code"):
        verifier.quick(other, sample_of(other, "x"))


def test_tests_that_are_gone_are_said_with_the_way_out(problems, verifier, tmp_path):
    lost = replace(verifier, place=place_in(tmp_path))
    problem = problems["HumanEval/0"]
    with pytest.raises(TaskError, match="load their task again"):
        lost.verify(problem, sample_of(problem, "    return a + b\n"))


def test_the_hub_layout_gives_verdicts_of_its_own_inputs(tmp_path):
    write_rows(tmp_path / "mbppplus/MbppPlus-OriginFmt.jsonl", HUB_PAIRS)
    (problem,) = load_evalplus("mbppplus", tmp_path).problems
    own = CodeVerifier(place=place_in(tmp_path))
    texts = {"def swap(p):\n    return p[::-1]\n": "right", "def swap(p):\n    return (2, 1)\n": "wrong"}
    for text, outcome in texts.items():
        assert own.verify(problem, sample_of(problem, text)).outcome.value == outcome


def test_answers_worked_out_once_are_taken_from_disk(folder, problems, verifier):
    problem = problems["HumanEval/1"]
    assert verifier.verify(problem, sample_of(problem, "    return a - b\n")).outcome is Outcome.RIGHT
    (path,) = (folder / "store" / "answers").glob(f"*/{problem.metadata['tests']}-*[!.lock]")
    before = path.stat().st_mtime_ns
    bench = Bench(verifier.place, workers=1)
    assert bench.judge("def minus(a, b):\n    return a - b\n", problem.metadata["tests"]).reason == "passed"
    path.write_bytes(b"damaged")
    fresh = Bench(verifier.place, workers=1)
    assert fresh.judge("def minus(a, b):\n    return b - a\n", problem.metadata["tests"]).reason == "wrong_answer"
    bench.close()
    fresh.close()
    assert path.read_bytes() != b"damaged" and path.stat().st_mtime_ns != before


def test_golds_pass_and_near_misses_fail_in_worker_processes(problems, verifier):
    assert pickle.loads(pickle.dumps(verifier)) == verifier
    report = validate_problems("code", list(problems.values()), verifier, workers=2)
    assert list(report.faults) == []
    assert report.probes["gold"] == 3 and report.probes["near miss"] == 15


def test_a_pool_runs_equal_programs_once(problems, verifier):
    problem = problems["HumanEval/0"]
    samples = [sample_of(problem, "    return a + b\n", index=index) for index in range(20)]
    with VerifierPool(verifier, workers=1) as pool:
        pool.submit(problem, samples)
        verdicts = list(pool.drain())
    assert [verdict.outcome for verdict in verdicts] == [Outcome.RIGHT] * 20
    assert len({verdict.seconds for verdict in verdicts}) == 1


def test_labelled_rows_name_problem_and_text(problems, verifier):
    rows = [
        {"problem_id": "HumanEval/0", "text": ADD["prompt"] + "    return a + b\n", "label": True},
        {"problem_id": "HumanEval/0", "text": "    return a - b\n", "label": False},
    ]
    checked = check_rows(rows, problems, verifier, "boxed", workers=1)
    assert [one.verdict.outcome for one in checked] == [Outcome.RIGHT, Outcome.WRONG]


def test_the_reward_is_one_nought_or_none_and_never_raises(problems, folder, tmp_path):
    reward = CodeReward("local", LEVEL, workers=2, cache_folder=folder / "store")
    problem = problems["HumanEval/0"]
    assert reward(problem, "    return a + b\n") == 1.0
    assert reward(problem, "    return a - b\n") == 0.0
    assert reward(problem, "") == 0.0
    assert reward(Problem("gsm8k", "0", "2 + 2?", "4"), "4") is None
    assert reward(None, "4") is None
    reward.close()
    lost = CodeReward("local", LEVEL, cache_folder=tmp_path)
    assert lost(problem, "    return a + b\n") is None
    lost.close()


def test_many_threads_are_rewarded_alike(problems, folder):
    reward = CodeReward("local", LEVEL, workers=2, cache_folder=folder / "store")
    problem = problems["HumanEval/0"]
    found = {}

    def ask(number):
        found[number] = reward(problem, f"    return a + b + {number % 2}\n")

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    reward.close()
    assert found == {number: 1.0 - number % 2 for number in range(16)}


class Weak:
    """A sandbox that isolates nothing much."""

    name = "weak"
    description = "weak"

    def isolation(self):
        return Isolation(1, ["rlimits"], ["user namespaces: not allowed"], "Allow them")

    def open(self):
        raise SandboxUnavailable("it has no boxes")


class WeakPlugin:
    @hookimpl
    def provide_sandboxes(self):
        return [Weak()]


@pytest.fixture
def registry():
    known = "code" in {plugin.name for plugin in load_plugins().plugins}
    return load_plugins(extra=[("weak", WeakPlugin())] + ([] if known else [("code", rlvr_code)]))


def test_a_sandbox_below_the_level_is_refused_with_the_reason_and_the_way_out(registry, verifier):
    message = (
        "sandbox 'weak' reaches isolation level 1 of 3 asked for: user namespaces: not allowed. Allow them. "
        "Way out: --sandbox docker, or accept less with --sandbox_level 1"
    )
    with pytest.raises(UsageError) as refused:
        confine(verifier, registry, SandboxChoice("weak"))
    assert str(refused.value) == message


def test_a_weak_sandbox_that_was_accepted_is_recorded_and_noted(registry, verifier):
    confined = confine(verifier, registry, SandboxChoice("weak", 1))
    assert (confined.as_data()["level"], confined.as_data()["asked_level"]) == (1, 1)
    assert confined.notes() == ["sandbox 'weak' isolates programs at level 1 of 3 only"]
    assert confined.verifier.place.name == "weak"


def test_unsafe_must_be_asked_for_by_name_and_is_noted(registry, verifier):
    confined = confine(verifier, registry, SandboxChoice("unsafe"))
    assert confined.notes() == ["sandbox 'unsafe': programs that the models wrote run with all the rights of this user"]


def test_a_verifier_that_runs_nothing_needs_no_sandbox(registry):
    assert confine(registry.get("verifier", "math"), registry, SandboxChoice("weak")) is None


def test_every_sandbox_is_offered_and_pickles(registry):
    names = {sandbox.name for sandbox in registry.all("sandbox")}
    assert {"local", "bwrap", "docker", "unsafe"} <= names
    for name in ("local", "bwrap", "docker", "unsafe"):
        sandbox = registry.get("sandbox", name)
        assert pickle.loads(pickle.dumps(sandbox)) == sandbox and sandbox.description


def test_the_tests_are_kept_in_the_folder_that_the_user_names(monkeypatch):
    monkeypatch.setenv("RLVR_HARNESS_CACHE", "/somewhere")
    assert default_folder() == Path("/somewhere/code")
    monkeypatch.delenv("RLVR_HARNESS_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/cache")
    assert default_folder() == Path("/cache/rlvr-harness/code")


def test_ls_lists_the_sandboxes():
    from rlvr_harness.cli import cli

    done = CliRunner().invoke(cli, ["ls", "sandboxes"])
    assert done.exit_code == 0
    if "code" in {plugin.name for plugin in load_plugins().plugins}:
        assert "local\ta confined worker process" in done.output


def test_doctor_tells_the_level_of_each_sandbox():
    from rlvr_harness import doctor

    found = [line for line in doctor.lines() if line.split("\t")[1].startswith("sandbox ")]
    offered = load_plugins().all("sandbox")
    assert len(found) == len(offered)
    for sandbox, line in zip(offered, found, strict=True):
        assert f"sandbox {sandbox.name}: isolation level {sandbox.isolation().level} of 3" in line


@pytest.mark.slow
@pytest.mark.skipif(not SHARED.is_dir(), reason="the benchmark files are not there")
def test_published_verdicts_of_humanevalplus_are_met(tmp_path):
    name = "evalplus_qwen2.5-coder-7b-base_humaneval_eval_results.json"
    published = json.loads((SHARED / "verifier" / name).read_text())["eval"]
    (tmp_path / "humanevalplus").symlink_to(SHARED / "humanevalplus")
    problems = {one.problem_id: one for one in load_evalplus("humanevalplus", tmp_path).problems}
    rows = [
        {"problem_id": key, "text": row["solution"], "label": row["base_status"] == row["plus_status"] == "pass"}
        for key, (row,) in published.items()
    ]
    checked = check_rows(rows, problems, CodeVerifier(place=place_in(tmp_path)), "boxed", workers=2)
    assert [one.row["problem_id"] for one in checked if (one.verdict.outcome is Outcome.RIGHT) != one.label] == []
