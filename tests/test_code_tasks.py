"""HumanEval+, MBPP+ and LiveCodeBench: what is read from which file, and what a model is asked."""

import json
from pathlib import Path

import pytest

from rlvr_code.livecodebench_task import Part
from rlvr_harness import PromptRequest, TaskError, UsageError
from rlvr_harness.preparing import find_task
from rlvr_harness.profiles import find_profile
from rlvr_harness.registry import load_plugins
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
    write_rows,
)

SHARED = Path(__file__).parent.parent.parent / "shared" / "data"
needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason="the benchmark files are not there")


@pytest.fixture
def folder(tmp_path):
    write_rows(tmp_path / "humanevalplus/HumanEvalPlus.jsonl.gz", ADD, MINUS)
    write_rows(tmp_path / "mbppplus/MbppPlus.jsonl", PAIRS)
    return tmp_path


def test_the_default_prompt_is_the_code_to_go_on_from_without_stop_strings(folder):
    first, second = load_evalplus("humanevalplus", folder).problems
    assert (first.prompt, first.problem_id, first.stop) == (ADD["prompt"], "HumanEval/0", ())
    assert first.metadata["answer_policy"] == "continuation"
    assert second.reference == "    return a - b\n"
    (swap,) = load_evalplus("mbppplus", folder).problems
    assert swap.prompt == PAIRS["prompt"]


def test_tests_and_answers_stay_out_of_the_problem(folder):
    problem = load_evalplus("humanevalplus", folder).problems[0]
    assert set(problem.metadata) == {
        *("task_id", "prompt", "entry_point", "canonical_solution", "tests", "answer_policy")
    }
    assert len(problem.metadata["tests"]) == 64


def test_equal_tests_have_equal_keys_and_others_have_others(folder, tmp_path_factory):
    one = load_evalplus("humanevalplus", folder).problems
    assert one == load_evalplus("humanevalplus", folder).problems
    other = tmp_path_factory.mktemp("other")
    write_rows(other / "humanevalplus/HumanEvalPlus.jsonl", {**ADD, "plus_input": [[1, 1]]})
    assert load_evalplus("humanevalplus", other).problems[0].metadata["tests"] != one[0].metadata["tests"]


@pytest.mark.parametrize(("profile", "policy"), [("code-r1", "code"), ("deepcoder", "code"), ("r1", "tags")])
def test_a_profile_puts_its_words_around_the_problem_and_says_where_the_program_is(folder, profile, policy):
    profile = find_profile(profile)
    problem = load_evalplus("humanevalplus", folder, profile=profile, limit=1).problems[0]
    assert problem.prompt.startswith(profile.before) and problem.prompt.endswith(profile.after)
    assert f"```python\n{ADD['prompt']}```" in problem.prompt
    assert (problem.metadata["answer_policy"], problem.stop) == (policy, profile.stop)


def test_a_chat_is_asked_for_a_fenced_program(folder):
    def render(messages, add_generation_prompt=True):
        return "".join(f"<{message['role']}>{message['content']}" for message in messages)

    profile = find_profile("chat")
    problem = load_evalplus("mbppplus", folder, profile=profile, chat_renderer=render).problems[0]
    assert problem.prompt.startswith("<user>Write this function in Python 3, in one block between ```python and ```.")
    assert problem.metadata["answer_policy"] == "code"


@pytest.mark.parametrize("profile", ["simplerl", "oat-zero", "dapo", "easyr1", "gsm8k-hash"])
def test_a_profile_that_asks_for_a_number_is_refused(folder, profile):
    with pytest.raises(TaskError, match="take code-r1, deepcoder, r1 or chat"):
        load_evalplus("humanevalplus", folder, profile=find_profile(profile))


def test_solved_examples_are_refused(folder):
    with pytest.raises(TaskError, match="num_fewshot"):
        load_evalplus("humanevalplus", folder, num_fewshot=2)


def test_the_hub_layout_gives_the_same_problem(tmp_path):
    write_rows(tmp_path / "mbppplus/MbppPlus-OriginFmt.jsonl", HUB_PAIRS)
    (problem,) = load_evalplus("mbppplus", tmp_path).problems
    assert (problem.problem_id, problem.prompt) == ("Mbpp/2", PAIRS["prompt"])
    assert (problem.metadata["entry_point"], problem.reference) == ("swap", PAIRS["canonical_solution"])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "holds no rows"),
        ("[1]\n", "line 1 is not an object"),
        ("{}\n", "layout"),
        ('{"task_id": "HumanEval/0"}\n', "layout"),
        (json.dumps(ADD) + "\n{", "line 2 is not JSON"),
    ],
)
def test_a_malformed_file_is_named_with_its_fault(tmp_path, content, message):
    path = tmp_path / "humanevalplus" / "HumanEvalPlus.jsonl"
    path.parent.mkdir()
    path.write_text(content)
    with pytest.raises(TaskError, match=message):
        load_evalplus("humanevalplus", tmp_path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(TaskError, match=r"HumanEvalPlus\.jsonl\.gz does not exist; put it there"):
        load_evalplus("humanevalplus", tmp_path)


def test_a_test_program_of_the_hub_is_read_and_never_run(tmp_path):
    evil = {**HUB_PAIRS, "test": "inputs = [[__import__('os').getcwd()]]\nassertion(swap(*inp), exp, 0)\n"}
    write_rows(tmp_path / "mbppplus/MbppPlus-OriginFmt.jsonl", evil)
    with pytest.raises(TaskError, match="is no literal"):
        load_evalplus("mbppplus", tmp_path)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("2024-08..2025-01", Part(5, "2024-08", "2025-01")),
        ("release_v6", Part(6)),
        ("release_v6+2025-01-05..2025-04", Part(6, "2025-01-05", "2025-04")),
    ],
)
def test_a_part_is_a_window_a_release_or_both(text, part):
    assert Part.read(text) == part


@pytest.mark.parametrize(
    "text", ["", "2024", "2024-08", "2025-01..2024-08", "release_v9", "release_v6+", "+2024-08..2024-09"]
)
def test_any_other_part_is_refused_with_examples(text):
    with pytest.raises(UsageError, match=r"2024-08\.\.2025-01"):
        Part.read(text)


def test_months_and_days_at_the_ends_of_a_window_are_meant_whole():
    part = Part(5, "2024-08", "2025-01")
    dates = ["2024-07-31T23:59:59", "2024-08-01T00:00:00", "2025-01-31T12:00:00", "2025-02-01T00:00:00"]
    assert [part.holds(date) for date in dates] == [False, True, True, False]
    assert Part(5, "2025-01-04", "2025-01-04").holds("2025-01-04T18:30:00")


def test_a_window_holds_the_contests_of_its_dates_in_their_order(tmp_path):
    write_rows(tmp_path / "livecodebench/test.jsonl", TRIPLE, DOUBLE)
    task = livecodebench(tmp_path)
    both = task.load(PromptRequest(data_dir=tmp_path))
    assert [problem.problem_id for problem in both.problems] == ["1_A", "2_B"]
    one = task.variant("2025-01..2025-01")
    (problem,) = one.load(PromptRequest(data_dir=tmp_path)).problems
    assert (one.name, problem.task, problem.problem_id) == (
        *("livecodebench@2025-01..2025-01", "livecodebench@2025-01..2025-01", "2_B"),
    )


def test_an_empty_window_is_refused_with_the_dates_there_are(tmp_path):
    write_rows(tmp_path / "livecodebench/test.jsonl", DOUBLE)
    with pytest.raises(TaskError, match="1 problems of 2024-08-01 to 2024-08-01"):
        livecodebench(tmp_path).variant("2023-01..2023-02").load(PromptRequest(data_dir=tmp_path))


def test_statements_without_tests_are_no_problems(tmp_path):
    write_rows(tmp_path / "livecodebench/test.jsonl", {k: v for k, v in DOUBLE.items() if "test" not in k})
    with pytest.raises(TaskError, match="no problem with tests"):
        livecodebench(tmp_path).load(PromptRequest(data_dir=tmp_path))


def test_public_tests_alone_are_said_loudly(tmp_path):
    private = packed([{"input": "3\n", "output": "6\n", "testtype": "stdin"}])
    write_rows(tmp_path / "livecodebench/test.jsonl", {**DOUBLE, "private_test_cases": private}, TRIPLE)
    (note,) = livecodebench(tmp_path).load(PromptRequest(data_dir=tmp_path)).notes
    assert note.startswith("task 'livecodebench': PUBLIC TESTS ONLY for 1 of 2 problems")
    write_rows(tmp_path / "livecodebench/test.jsonl", {**DOUBLE, "private_test_cases": private})
    assert livecodebench(tmp_path).load(PromptRequest(data_dir=tmp_path)).notes == ()


def test_the_row_with_private_tests_goes_before_the_one_without(tmp_path):
    private = packed([{"input": "3\n", "output": "6\n", "testtype": "stdin"}])
    write_rows(tmp_path / "livecodebench/lcb_public_tests.jsonl.gz", DOUBLE)
    write_rows(tmp_path / "livecodebench/test.jsonl", {**DOUBLE, "private_test_cases": private})
    loaded = livecodebench(tmp_path).load(PromptRequest(data_dir=tmp_path))
    assert (len(loaded.problems), loaded.notes) == (1, ())


def test_a_later_release_reads_the_files_that_it_added(tmp_path):
    write_rows(tmp_path / "livecodebench/test.jsonl", DOUBLE)
    write_rows(tmp_path / "livecodebench/test6.jsonl", TRIPLE)
    task = livecodebench(tmp_path)
    assert len(task.load(PromptRequest(data_dir=tmp_path)).problems) == 1
    assert len(task.variant("release_v6").load(PromptRequest(data_dir=tmp_path)).problems) == 2


def test_the_prompt_shows_the_starter_code_or_asks_for_standard_input(tmp_path):
    write_rows(tmp_path / "livecodebench/test.jsonl", DOUBLE, TRIPLE)
    double, triple = livecodebench(tmp_path).load(PromptRequest(data_dir=tmp_path)).problems
    assert "reads standard input" in double.prompt and "starter" not in double.prompt
    assert "def triple(self, x: int)" in triple.prompt and "standard input" not in triple.prompt
    assert triple.metadata["entry_point"] == "Solution.triple"
    for profile in ("code-r1", "deepcoder"):
        found = find_profile(profile)
        worded = livecodebench(tmp_path).load(PromptRequest(data_dir=tmp_path, profile=found)).problems
        assert all(found.after in problem.prompt for problem in worded)


def test_a_part_is_found_by_its_name_and_other_tasks_have_none():
    import rlvr_code

    registry = load_plugins(extra=[] if "code" in load_plugins().providers["task"].values() else [("code", rlvr_code)])
    assert find_task(registry, "livecodebench@2024-08..2025-01").name == "livecodebench@2024-08..2025-01"
    with pytest.raises(UsageError, match="task 'humanevalplus' has no variants"):
        find_task(registry, "humanevalplus@2024-08..2025-01")


@needs_shared
@pytest.mark.parametrize(
    ("name", "stem", "problems"), [("humanevalplus", "HumanEvalPlus", 164), ("mbppplus", "MbppPlus", 378)]
)
def test_both_layouts_of_the_real_files_ask_the_same(tmp_path, name, stem, problems):
    native = load_evalplus(name, _linked(tmp_path / "native", name, f"{stem}.jsonl.gz")).problems
    hub = load_evalplus(name, _linked(tmp_path / "hub", name, f"{stem}-OriginFmt.jsonl.gz")).problems
    assert len(native) == len(hub) == problems
    same = ("task_id", "entry_point")
    assert [[one.metadata[key] for key in same] for one in native] == [
        [one.metadata[key] for key in same] for one in hub
    ]
    # 18 prompts of MBPP+ name a web address in the hub's copy, which evalplus's own file leaves out.
    assert sum(one.prompt != other.prompt for one, other in zip(native, hub, strict=True)) == (
        0 if problems == 164 else 18
    )


def _linked(folder, name, file):
    (folder / name).mkdir(parents=True)
    (folder / name / file).symlink_to(SHARED / name / file)
    return folder


@needs_shared
def test_the_real_livecodebench_file_has_400_problems_with_public_tests_only(tmp_path):
    loaded = livecodebench(tmp_path).load(PromptRequest(data_dir=SHARED))
    assert len(loaded.problems) == 400
    assert "400 of 400" in loaded.notes[0]
    assert sum(bool(problem.metadata["entry_point"]) for problem in loaded.problems) == 181
