"""The packaged picture tasks: prompts, rows and golds, on made rows always and on the real files where they are."""

import json
import re
from collections import Counter
from importlib.metadata import entry_points
from pathlib import Path

import pytest
import yaml

import rlvr_vision
from rlvr_harness import FinishReason, Outcome, Problem, PromptRequest, Sample, TaskError, packaged_task
from rlvr_harness.profiles import find_profile
from rlvr_harness.registry import load_plugins
from rlvr_math.verifier import MathVerifier
from rlvr_vision.mathvision import MathVisionVerifier
from rlvr_vision.mathvista import MathVistaVerifier

CHECKOUT = Path(__file__).parent.parent
DATA = CHECKOUT.parent / "shared" / "data"
VERIFIERS = {
    "mathvista": MathVistaVerifier(),
    "mathvista_all": MathVistaVerifier(),
    "mathvision": MathVisionVerifier(),
    "mathvision_all": MathVisionVerifier(),
    "geometry3k": MathVerifier(),
}
SIZES = {"mathvista": 460, "mathvista_all": 1000, "mathvision": 114, "mathvision_all": 304}
TASKS = tuple(VERIFIERS)
INSTRUCTION = "\nReason step by step, and put the final answer inside \\boxed{}.\n"

needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="no benchmark data in ../shared/data")

VISTA = {"question_type": "free_form", "choices": None, "unit": None, "precision": None, "image": "images/1.jpg"}
VISTA_ROWS = {
    "1": {**VISTA, "pid": "1", "question": "How long?", "answer": "1.2", "answer_type": "float", "precision": 1},
    "2": {**VISTA, "pid": "2", "question": "How old?", "answer": "7", "answer_type": "integer", "unit": "years"},
    "3": {**VISTA, "pid": "3", "question": "Which angle?", "answer": "30°", "answer_type": "text"}
    | {"question_type": "multi_choice", "choices": ["30°", "60°"]},
    "4": {**VISTA, "pid": "4", "question": "Which years?", "answer": "[1, 2]", "answer_type": "list"},
    "5": {**VISTA, "pid": "5", "question": "How wide?", "answer": "1.25", "answer_type": "float", "precision": 2},
}
VISION_ROWS = [
    {"id": "4", "question": "How many?\n<image1>", "options": [], "answer": "6", "image": "images/4.jpg"},
    {"id": "6", "question": "Which?\n<image1>", "options": ["one", "two"], "answer": "B", "image": "images/6.jpg"},
]
GEOMETRY_ROWS = [
    {"problem": "<image>Find $x$.", "answer": "5 \\sqrt { 3 }", "images": ["1.png"]},
    {"problem": "<image>Find y.", "answer": "13.5", "images": ["2.png"]},
]


def config(name):
    return yaml.safe_load((CHECKOUT / "tasks" / name / f"{name}.yaml").read_text())


def load(name, folder):
    return packaged_task(name).load(PromptRequest(data_dir=folder)).problems


def verdict(name, problem, text):
    sample = Sample(name, "m", problem.problem_id, 0, 0, text, FinishReason.STOP, 9)
    return VERIFIERS[name].verify(problem, sample)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    for name in ("mathvista", "mathvision", "geometry3k"):
        (folder / name).mkdir()
    (folder / "mathvista" / "testmini.json").write_text(json.dumps(VISTA_ROWS))
    (folder / "mathvision" / "testmini.jsonl").write_text("\n".join(map(json.dumps, VISION_ROWS)))
    (folder / "geometry3k" / "train.jsonl").write_text("\n".join(map(json.dumps, GEOMETRY_ROWS)))
    return folder


def test_geometry3k_reads_a_folder_per_problem_too(tmp_path):
    for number, answer in ((10, "B"), (9, "A")):
        folder = tmp_path / "geometry3k" / "train_examples" / str(number)
        folder.mkdir(parents=True)
        row = {"problem_text": f"Find {number}.", "choices": ["1", "2", "3", "4"], "answer": answer}
        (folder / "data.json").write_text(json.dumps(row))
    problems = load("geometry3k", tmp_path)
    assert [(p.prompt.splitlines()[0], p.reference) for p in problems] == [("Find 9.", "1"), ("Find 10.", "2")]
    assert problems[0].metadata["images"] == str(tmp_path / "geometry3k/train_examples/9/img_diagram.png")


def test_a_damaged_problem_folder_is_named(tmp_path):
    folder = tmp_path / "geometry3k" / "train_examples" / "1"
    folder.mkdir(parents=True)
    (folder / "data.json").write_text('{"problem_text": "?", "choices": ["1"], "answer": "D"}')
    with pytest.raises(TaskError, match=r"train_examples/1/data\.json cannot be read as a problem"):
        load("geometry3k", tmp_path)


@pytest.mark.parametrize(
    ("name", "bodies"),
    [
        (
            "mathvista",
            {
                "1": "How long?\nThe answer is a decimal number; give it to 1 decimal place.",
                "2": "How old? (Unit: years)\nThe answer is an integer.",
                "4": "Which years?\nThe answer is a list of numbers, such as [1, 2, 3].",
                "5": "How wide?\nThe answer is a decimal number; give it to 2 decimal places.",
            },
        ),
        ("mathvision", {"4": "How many?\n<image1>"}),
        ("geometry3k", {"0": "Find $x$.", "1": "Find y."}),
    ],
)
def test_prompts_of_the_free_form_tasks(name, bodies, made):
    assert {p.problem_id: p.prompt for p in load(name, made)} == {i: b + INSTRUCTION for i, b in bodies.items()}


@pytest.mark.parametrize(
    ("name", "number", "body"),
    [
        ("mathvista_all", 2, "Which angle?\nChoices:\n(A) 30°\n(B) 60°\nThe answer is the letter of one choice."),
        ("mathvision_all", 1, "Which?\n<image1>\nChoices:\n(A) one\n(B) two\nThe answer is the letter of one choice."),
    ],
)
def test_prompts_of_multiple_choice_list_the_choices(name, number, body, made):
    assert load(name, made)[number].prompt == body + INSTRUCTION


@pytest.mark.parametrize("name", TASKS)
def test_the_problem_alone_can_be_worded_by_a_profile(name, made):
    profile = find_profile("easyr1")
    own, worded = (
        packaged_task(name).load(PromptRequest(data_dir=made, profile=each)).problems
        for each in (find_profile("boxed"), profile)
    )
    bare = [problem.prompt.removesuffix(INSTRUCTION) for problem in own]
    assert [problem.prompt for problem in worded] == [f"{body}{profile.after}" for body in bare]


@pytest.mark.parametrize("name", ["mathvista", "mathvista_all", "mathvision", "mathvision_all"])
def test_a_prompt_whose_answers_the_verifier_would_not_find_is_refused(name, made):
    with pytest.raises(TaskError, match=rf"'{name}': its verifier looks for answers as boxed, and --prompt r1 .* tags"):
        packaged_task(name).load(PromptRequest(data_dir=made, profile=find_profile("r1")))


@pytest.mark.parametrize("name", ["mathvista", "mathvision"])
def test_free_form_prompts_are_the_same_in_the_whole_task(name, made):
    whole = {problem.problem_id: problem.prompt for problem in load(f"{name}_all", made)}
    assert all(whole[problem.problem_id] == problem.prompt for problem in load(name, made))


@pytest.mark.parametrize("name", TASKS)
def test_golds_of_made_rows_are_right_and_their_near_misses_wrong(name, made):
    check(name, load(name, made))


@pytest.mark.parametrize("name", TASKS)
def test_a_task_names_its_picture_and_a_revision_that_its_readme_gives(name):
    task = config(name)
    revision = task["dataset_kwargs"]["revision"]
    readme = (CHECKOUT / "tasks" / name / "README.md").read_text()
    assert f"`{task['test_split']}` at `{revision}`" in readme
    assert task["metadata"]["image_field"] in task["metadata"]["required_fields"]
    assert revision == "main" if name.startswith("mathvision") else re.fullmatch("[0-9a-f]{40}", revision)


def test_the_plugin_offers_its_tasks_and_verifiers():
    assert [task.name for task in rlvr_vision.provide_tasks()] == list(TASKS)
    assert [verifier.name for verifier in rlvr_vision.provide_verifiers()] == ["mathvista", "mathvision"]


def test_the_registry_takes_the_plugin_and_knows_every_verifier_it_names():
    registered = "vision" in entry_points(group="rlvr_harness").names
    registry = load_plugins(extra=() if registered else [("vision", rlvr_vision)])
    for name in TASKS:
        assert type(registry.get("verifier", config(name)["metadata"]["verifier"])) is type(VERIFIERS[name])


def check(name, problems):
    verifier = VERIFIERS[name]
    refused = [(p.problem_id, t) for p in problems for t in verifier.gold_texts(p) if not right(name, p, t)]
    accepted = [(p.problem_id, t) for p in problems for t in verifier.near_misses(p) if right(name, p, t)]
    assert (refused, accepted) == ([], [])


def right(name, problem, text):
    return verdict(name, problem, text).outcome is Outcome.RIGHT


@needs_data
@pytest.mark.parametrize("name", SIZES)
def test_every_gold_is_right_and_every_near_miss_wrong(name):
    problems = load(name, DATA)
    assert len(problems) == SIZES[name]
    check(name, problems)


@needs_data
def test_the_values_of_geometry3k_choices_are_told_apart():
    """Ten problems of the original files: the gold of the hub's layout is the right choice; others must be refused."""
    files = sorted((DATA / "geometry3k" / "train_examples").glob("*/data.json"))
    assert len(files) == 10
    for row in map(json.loads, (file.read_text() for file in files)):
        gold = row["choices"]["ABCD".index(row["answer"])]
        problem = Problem("geometry3k", "0", "", gold)
        marks = [right("geometry3k", problem, f"\\boxed{{{choice}}}") for choice in row["choices"]]
        assert marks == [choice == gold for choice in row["choices"]]


@needs_data
@pytest.mark.parametrize(
    ("model", "both_right", "ours_alone"),
    [
        ("Qwen-VL-Max-CoT", 42, {"319", "390", "1113", "1168", "1222", "1343", "1355", "1512", "1546"}),
        ("InternLM-XComposer2-VL", 48, {"180", "319", "873", "893", "1215", "1336", "1343", "1546", "1727"}),
    ],
)
def test_labels_of_mathvision_agree_but_for_values_and_letters_that_its_scorer_cannot_read(
    model, both_right, ours_alone
):
    problems = {problem.problem_id: problem for problem in load("mathvision_all", DATA)}
    lines = (DATA / "verifier" / f"mathvision_testmini_{model}.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    marks = {row["id"]: (right("mathvision_all", problems[row["id"]], row["response"]), row["correct"]) for row in rows}
    assert {i for i, mark in marks.items() if mark == (True, False)} == ours_alone
    assert Counter(marks.values()) == {
        (True, True): both_right,
        (True, False): 9,
        (False, False): 304 - 9 - both_right,
    }


@needs_data
def test_labels_of_mathvista_agree_but_for_edit_distance():
    """The nine of the benchmark alone are refusals or numbers that are no choice; in 849 the text `(b)` is the gold."""
    problems = {problem.problem_id: problem for problem in load("mathvista_all", DATA)}
    rows = json.loads((DATA / "verifier" / "mathvista_output_bard.json").read_text())
    marks = {
        pid: (right("mathvista_all", problems[pid], f"\\boxed{{{row['extraction']}}}"), row["true_false"])
        for pid, row in rows.items()
    }
    assert Counter(marks.values()) == {(True, True): 339, (False, False): 651, (False, True): 9, (True, False): 1}
    theirs_alone = {pid for pid, mark in marks.items() if mark == (False, True)}
    assert theirs_alone == {"5", "228", "653", "688", "705", "740", "776", "821", "884"}
    assert marks["849"] == (True, False)
