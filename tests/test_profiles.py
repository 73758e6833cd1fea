"""Prompt profiles: the words around a problem, and where its answer is looked for."""

import json
from pathlib import Path

import jinja2
import pytest

from rlvr_harness import PromptRequest, TaskError, UnknownName, packaged_task
from rlvr_harness.profiles import PROFILES, find_profile

WRITTEN = [profile for profile in PROFILES.values() if profile.before is not None]
QUESTION = "What is {{ 1 }} + {% 1 %}, in \\boxed{}?"


def wording(name):
    return pytest.param(PROFILES[name], id=name)


@pytest.fixture
def data_dir(tmp_path):
    (tmp_path / "math500").mkdir()
    row = {"problem": QUESTION, "answer": "2", "unique_id": "t/1", "solution": "", "subject": "x", "level": 1}
    (tmp_path / "math500" / "test.jsonl").write_text(json.dumps(row) + "\n")
    return tmp_path


@pytest.mark.parametrize("profile", WRITTEN, ids=lambda profile: profile.name)
def test_a_profile_keeps_the_problem_as_it_is(profile):
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, keep_trailing_newline=True)
    rendered = environment.from_string(profile.template("{{problem}}")).render(problem=QUESTION)
    assert rendered == f"{profile.before}{QUESTION}{profile.after}"


@pytest.mark.parametrize("profile", PROFILES.values(), ids=lambda profile: profile.name)
def test_no_stop_string_is_a_word_or_an_answer_mark(profile):
    assert all(stop.startswith("<|") and stop.endswith("|>") for stop in profile.stop)


@pytest.mark.parametrize("profile", WRITTEN, ids=lambda profile: profile.name)
def test_a_task_takes_the_prompt_stop_strings_and_policy_of_a_profile(profile, data_dir):
    problem = packaged_task("math500").load(PromptRequest(data_dir=data_dir, profile=profile)).problems[0]
    assert problem.prompt == f"{profile.before}{QUESTION}{profile.after}"
    assert (problem.stop, problem.metadata["answer_policy"]) == (profile.stop, profile.answer_policy)


def test_the_default_profile_is_the_tasks_own_prompt(data_dir):
    own = packaged_task("math500").load(PromptRequest(data_dir=data_dir))
    boxed = packaged_task("math500").load(PromptRequest(data_dir=data_dir, profile=find_profile("boxed")))
    assert own == boxed
    assert own.problems[0].prompt.startswith(QUESTION)


def test_the_prompt_does_not_change_the_hash_of_the_data(data_dir):
    hashes = {
        packaged_task("math500").load(PromptRequest(data_dir=data_dir, profile=profile)).data_hash
        for profile in PROFILES.values()
    }
    assert len(hashes) == 1


def test_a_task_without_a_bare_problem_refuses_other_prompts():
    with pytest.raises(TaskError, match=r"countdown.*--prompt dapo"):
        packaged_task("countdown").load(PromptRequest(profile=find_profile("dapo")))


def test_an_unknown_profile_is_told_with_the_known_ones():
    with pytest.raises(UnknownName, match="no prompt profile named 'x'; there are: boxed, simplerl"):
        find_profile("x")


def test_readme_names_each_profile_with_its_policy_and_source():
    readme = (Path(__file__).parent.parent / "README.md").read_text()
    for p in PROFILES.values():
        assert f"| `{p.name}` | {p.description} | {p.answer_policy} | {p.source} |" in readme
