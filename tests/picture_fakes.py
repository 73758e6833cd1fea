"""A tiny task with pictures in a folder, and the run folder of a run of it."""

import json
from dataclasses import replace

from rlvr_harness import FinishReason, Outcome, PromptRequest, Sample, Verdict, packaged_task
from rlvr_harness.profiles import find_profile
from rlvr_harness.run_spec import parse_spec
from rlvr_harness.run_store import RunStore
from rlvr_harness.stages.prompting import hash_prompts


def drawing(kind="PNG", size=(300, 120), color=(20, 90, 200)):
    """A picture file of one colour with a line across it."""
    import io

    from PIL import Image, ImageDraw

    image = Image.new("RGB", size, (250, 250, 250))
    ImageDraw.Draw(image).line((0, 0, *size), fill=color, width=8)
    stored = io.BytesIO()
    image.save(stored, format=kind)
    return stored.getvalue()


def write_data(folder, pictures, task="mathvision"):
    """The task's data under `folder`: one problem per picture file, named by number; returns `folder`."""
    (folder / task / "images").mkdir(parents=True)
    rows = []
    for number, content in enumerate(pictures):
        place = f"images/{number}"
        (folder / task / place).write_bytes(content)
        rows.append({"id": str(number), "question": "How many?\n<image1>", "options": [], "answer": "4"})
        rows[-1]["image"] = place
    (folder / task / "testmini.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return folder


def write_run(folder, data, task="mathvision", prompt="boxed", chat=None):
    """A run of the task with two samples a problem; `chat` changes the stored prompts, as a chat template does."""
    spec = parse_spec({"model": "m", "tasks": [task], "k": 2, "data_dir": str(data), "prompt": prompt})
    loaded = packaged_task(task).load(PromptRequest(data_dir=data, profile=find_profile(prompt)))
    problems = [replace(problem, prompt=chat(problem.prompt)) if chat else problem for problem in loaded.problems]
    record = {
        "schema": "rlvr-harness/run/1.1",
        "spec": spec.as_data(),
        "models": {"model": {"path": "m"}},
        "tasks": {
            task: {
                "verifier": "mathvision",
                "data_revision": loaded.data_revision,
                "data_hash": loaded.data_hash,
                "prompt_hash": hash_prompts(problems),
            }
        },
        "status": {"sampling": "done", "verifying": "done"},
    }
    with RunStore(folder) as store:
        store.write_json("run.json", record)
        store.write_problems(task, problems)
        for problem in problems:
            for index in range(2):
                text = f"I see {index}: \\boxed{{{index}}}"
                store.append_samples(
                    [Sample(task, "model", problem.problem_id, index, index, text, FinishReason.STOP, 5)]
                )
                wrong = Verdict(problem.problem_id, index, Outcome.WRONG, str(index), "mismatch")
                store.append_verdicts(task, "model", "mathvision", [wrong])
    return folder
