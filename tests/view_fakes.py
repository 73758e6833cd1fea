"""A small run folder to look at, and the rows that it was made of."""

import json
from dataclasses import replace

from rlvr_harness.records import FinishReason, Outcome, Problem, Sample, Verdict
from rlvr_harness.run_store import RunStore

OUTCOMES = (Outcome.RIGHT, Outcome.WRONG, Outcome.WRONG, Outcome.VOID)


def sample_of(model, problem, index):
    finish = FinishReason.LENGTH if (index + problem) % 5 == 0 else FinishReason.STOP
    text = f"{model} thinks about {problem}, step {index}: $x^{index}$ so \\boxed{{{index % 7}}}"
    return Sample("t", model, f"p{problem}", index, index, text, finish, 10 + (index * 7) % 13)


def verdict_of(model, problem, index, verifier="math"):
    """p0 only base solves, p1 only model, p2 both, p3 nobody; the rest by turns. `strict` accepts half."""
    solves = {0: model == "base", 1: model == "model", 2: True, 3: False}.get(problem, True)
    outcome = OUTCOMES[(index + problem) % 4]
    if outcome is Outcome.RIGHT and (not solves or (verifier == "strict" and index % 8 < 4)):
        outcome = Outcome.WRONG
    if outcome is Outcome.VOID:
        return Verdict(f"p{problem}", index, outcome, None, "crash")
    answer = None if outcome is Outcome.WRONG and index % 3 == 0 else str(index % 7)
    return Verdict(f"p{problem}", index, outcome, answer, "match" if outcome is Outcome.RIGHT else "mismatch")


def write_run(folder, problems=6, n=40, commits=4, models=("base", "model"), verifiers=("math", "strict")):
    """A run folder whose parts each hold samples of every problem; returns all (sample, {verifier: verdict})."""
    rows = []
    with RunStore(folder) as store:
        store.write_json("run.json", run_json(models))
        store.write_problems("t", [Problem("t", f"p{i}", f"What is {i}?", str(i)) for i in range(problems)])
        for commit in range(commits):
            for model in models:
                for index in range(commit, n, commits):
                    for problem in range(problems):
                        drawn = sample_of(model, problem, index)
                        verdicts = {name: verdict_of(model, problem, index, name) for name in verifiers}
                        rows.append((drawn, verdicts))
                        store.append_samples([drawn])
                        for name, verdict in verdicts.items():
                            store.append_verdicts("t", model, name, [verdict])
            store.commit()
    return rows


def run_json(models=("base", "model"), task="t"):
    return {
        "schema": "rlvr-harness/run/1.1",
        "models": {model: {"path": f"org/{model}"} for model in models},
        "tasks": {task: {"verifier": "math"}},
        "status": {"sampling": "done", "verifying": "done"},
    }


def add_text(folder, text, answer="7", reason="match", problem_id="p", task="t", **changes):
    """One more sample and its verdict."""
    drawn = replace(Sample(task, "base", problem_id, 0, 0, text, FinishReason.STOP, 5), **changes)
    with RunStore(folder) as store:
        store.append_samples([drawn])
        store.append_verdicts(
            task, drawn.model, "math", [Verdict(problem_id, drawn.index, Outcome.RIGHT, answer, reason)]
        )
    return drawn


def queue_line(**changes):
    return json.dumps({"task": "t", "model": "base", "problem_id": "p0", "index": 1, "why": "hardest", **changes})
