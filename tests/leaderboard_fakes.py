"""Run folders for leaderboards: results.json content whose numbers are set by hand."""

import json

from rlvr_harness.leaderboard import Choices, build_site

HOSTILE = """<script src="http://evil.example/x.js"></script>"><img src=x onerror=alert(1)>../../../etc/passwd{{7*7}}"""
LAW = {"temperature": 0.6, "top_p": 0.95, "top_k": 0, "min_p": 0.0, "repetition_penalty": 1.0, "max_gen_toks": 16384}


def point(value, half=0.1):
    return {"value": value, "low": max(-1.0, value - half), "high": min(1.0, value + half)}


def side(name, at_1, at_k, k, **more):
    return {
        "name": name,
        "samples": 100,
        "right": 20,
        "wrong": 75,
        "void": 5,
        "truncated": 10,
        "truncated_share": 0.1,
        "plan": {"kind": "fixed"},
        "pass_at_k": {"1": point(at_1), str(k): point(at_k)},
        "counts": {"problem_id": ["a", "b", "c", "d"], "n": [25] * 4, "c": [5, 5, 5, 5]},
    } | more


def results(model="org/m-7B", gap=-0.1, task="math500", k=8, base="org/b-7B", **changes):
    """results.json of one run; pass@1 0.2 -> 0.5, pass@k 0.7 -> 0.7 + gap. `changes`: parts of record, run, ...."""
    record = {
        "problems": 4,
        "data_hash": "d" * 64,
        "prompt_hash": "a" * 64,
        "verifier": "math",
        "verifier_version": "3",
        "sampling": LAW | changes.get("law", {}),
    } | changes.get("record", {})
    comparison = {
        "base": "base",
        "model": "model",
        "problems": 4,
        "difference": {"1": point(0.3), str(k): point(gap)},
        "crossover": {"verdict": "crossed", "k": 3, "low": 2, "high": 5},
        "coverage": {"k": 25, "both": 2, "base_only": 1, "model_only": 0, "neither": 1, "mcnemar_p": 1.0},
        "support": {"srr": 2 / 3, "ndr": 0.0, "sds": 0.0, "nscr": -1 / 3},
        "delta_se": {"k": 8, "value": 0.2, "low": 0.1, "high": 0.3},
        "fairness": {"same_prompt": True, "same_sampling": True, "warnings": []} | changes.get("fairness", {}),
    }
    run = {
        "title": f"{model} against {base}",
        "created": "2026-05-01T10:00:00+00:00",
        "harness_version": "0.1.0",
        "command": f"rlvr-harness run --model {model} --base {base} --k {k} --sampler vllm",
        "models": {role: {"path": path, "weight_hash": role * 8} for role, path in (("base", base), ("model", model))},
        "sampling": {**LAW, "seed": 0, "n": 25, "k": k, "plan": "fixed", "prompt": "boxed"},
        "tasks": {task: record},
    } | changes.get("run", {})
    models = {"base": side(base, 0.2, 0.7, k), "model": side(model, 0.5, min(1.0, 0.7 + gap), k)}
    entry = {"problems": 4, "models": models, "comparison": comparison}
    return {"schema": "rlvr-harness/results/1", "run": run, "tasks": {task: entry}}


def single(model="org/alone-7B", task="math500"):
    """results.json of a run of one model without a base."""
    content = results(model, task=task)
    del content["tasks"][task]["comparison"], content["tasks"][task]["models"]["base"]
    return content


def write_runs(folder, *contents):
    """A run folder for each content; their paths."""
    paths = []
    for place, content in enumerate(contents):
        path = folder / f"run{place}"
        path.mkdir(parents=True)
        (path / "results.json").write_text(json.dumps(content), encoding="utf-8")
        paths.append(path)
    return paths


def site_of(folder, *contents, **choices):
    """The folder of a site over runs of this content."""
    build_site(write_runs(folder / "runs", *contents), folder / "site", Choices(**choices))
    return folder / "site"


def data_of(site):
    """The content of data.json."""
    return json.loads((site / "data.json").read_text(encoding="utf-8"))


def bytes_of(folder):
    """Relative path -> content of every file below a folder."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
