import pytest
from rlvr_harness import PromptRequest, TaskError

from rlvr_template.task import SIZE, LastStepTask, Puzzle, make_puzzles


def test_problems_are_the_same_each_time_and_all_different():
    assert make_puzzles(SIZE) == make_puzzles(SIZE)
    assert len({puzzle.prompt for puzzle in make_puzzles(SIZE)}) == SIZE


def test_the_prompt_holds_the_first_two_steps():
    assert Puzzle((9, 3, 8, 6), 26).prompt == "Make 26 from 9, 3, 8, 6.\n9 + 3 = 12\n8 + 6 = 14\n"


def test_a_problem_holds_what_its_verifier_needs():
    loaded = LastStepTask().load(PromptRequest())
    first = make_puzzles(1)[0]
    assert loaded.problems[0].metadata == {"numbers": list(first.sums), "target": first.target}
    assert (loaded.verifier, len(loaded.problems)) == ("template", SIZE)


def test_a_limit_keeps_the_first_problems():
    whole, part = LastStepTask().load(PromptRequest()), LastStepTask().load(PromptRequest(limit=3))
    assert list(part.problems) == list(whole.problems)[:3]
    assert part.data_hash != whole.data_hash


def test_a_chat_model_gets_the_problem_as_a_users_turn():
    def render(messages, add_generation_prompt=True):
        return "|".join(f"{message['role']}: {message['content']}" for message in messages)

    request = PromptRequest(chat_renderer=render, system_instruction="Be brief.", limit=1)
    prompt = LastStepTask().load(request).problems[0].prompt
    assert prompt.startswith("system: Be brief.|user: Make ")


def test_solved_examples_are_refused():
    with pytest.raises(TaskError, match="leave out --num_fewshot"):
        LastStepTask().load(PromptRequest(num_fewshot=2))
