"""Results for tests of the report: small, worked out by hand, and hostile in every name."""

HOSTILE = """</script><script>window.broken=1</script><img src=x onerror="window.broken=1"><a href="http://evil.example">x</a>"""
KS = (1, 2, 4, 8, 16)
PROBLEMS = [f"p{place}" for place in range(8)]


def point(value, half=0.05):
    return {
        "value": value,
        "low": value - half,
        "high": value + half,
        "sampling_low": value - half / 5,
        "sampling_high": value + half / 5,
    }


def model(name, values, right):
    accuracy = [0] * 11
    for c in right:
        accuracy[-(-10 * c // 16)] += 1
    return {
        "name": name,
        "samples": 128,
        "right": sum(right),
        "wrong": 128 - sum(right),
        "void": 0,
        "pass_at_k": {str(k): point(value) for k, value in zip(KS, values, strict=True)},
        "accuracy_histogram": accuracy,
        "counts": {"problem_id": PROBLEMS, "n": [16] * 8, "c": right},
    }


BASE = (0.2, 0.3, 0.45, 0.6, 0.75)
BASE_RIGHT = [1, 2, 3, 4, 5, 6, 0, 0]
MODEL_RIGHT = [0, 8, 8, 8, 16, 16, 2, 0]


def shift():
    """Six problems of eight move: p0 and p6 between solved and not, four more up by whole bins."""
    bins = [[0] * 11 for _ in range(11)]
    for before, after in zip(BASE_RIGHT, MODEL_RIGHT, strict=True):
        bins[-(-10 * before // 16)][-(-10 * after // 16)] += 1
    return {"bins": bins, "up": 6, "down": 1, "same": 1, "mean": {"value": 0.29, "low": 0.1, "high": 0.5}}


def comparison(role="model", values=(0.5, 0.52, 0.55, 0.58, 0.6), gap=0.25):
    return {
        "base": "base",
        "model": role,
        "difference": {str(k): point(a - b) for k, a, b in zip(KS, values, BASE, strict=True)},
        "crossover": {"verdict": "crossed", "k": 8, "low": 4, "high": 16},
        "coverage": {
            "k": 16,
            "both": 5,
            "base_only": 1,
            "model_only": 1,
            "neither": 1,
            "mcnemar_p": 1.0,
            "base_only_ids": ["p0"],
            "model_only_ids": ["p6"],
            "undecided_ids": ["p0"],
        },
        "support": {"srr": 5 / 6, "ndr": 1 / 6, "sds": 5 / 18, "nscr": 0.0},
        "delta_se": {"k": 16, "value": gap, "low": gap - 0.1, "high": gap + 0.1},
        "shift": shift(),
        "fairness": {"same_prompt": True, "same_sampling": True, "warnings": []},
    }


def results(title="RL against base", name="org/rlvr", values=(0.5, 0.52, 0.55, 0.58, 0.6), **law):
    """One run of one task: `law` changes its sampling law."""
    models = {"base": model("org/base", BASE, BASE_RIGHT), "model": model(name, values, MODEL_RIGHT)}
    task = {"problems": 8, "models": models, "comparison": comparison("model", values, 0.75 - values[0])}
    sampling = {"temperature": 0.6, "top_p": 0.95, "top_k": 0, "min_p": 0.0, "max_gen_toks": 1024} | law
    run = {
        "title": title,
        "command": "rlvr-harness run --model org/rlvr --base org/base",
        "models": {"base": {"path": "org/base", "weight_hash": "b" * 64}, "model": {"path": name}},
        "sampling": sampling,
        "tasks": {"maths": {"prompt_hash": "a" * 64, "verifier": "math", "verifier_version": "1"}},
    }
    return {"schema": "rlvr-harness/results/1", "run": run, "tasks": {"maths": task}}


def measured():
    """A run with everything a later command may add: likelihoods, marks and a fitted law."""
    found = results()
    for role, block in found["tasks"]["maths"]["models"].items():
        block["perplexity"] = {"of": {"base": {"value": 1.5, "low": 1.4, "high": 1.6, "texts": 20, "tokens": 900}}}
        block["entropy"] = {
            "answer": 0.7,
            "token": {"at_1": {"value": 0.5, "low": 0.4, "high": 0.6}, "at_sampling": None},
        }
        block["cot"] = {"marked": 10, "right": 9, "rate": {"value": 0.9, "low": 0.6, "high": 0.99}}
        block["extrapolated"] = {
            "law": "beta-binomial",
            "from_n": 16,
            "zero_share": 0.125,
            "fit_p": 0.4,
            "warning": "few problems" if role == "base" else None,
            "pass_at_k": {"32": point(0.8), "64": point(0.85)},
        }
    return found


def hostile():
    """The same run with markup in every name."""
    found = results(HOSTILE, HOSTILE)
    task = found["tasks"].pop("maths")
    for block in task["models"].values():
        block["name"] = HOSTILE
        block["counts"]["problem_id"] = [HOSTILE, *PROBLEMS[1:]]
    task["comparison"]["coverage"]["base_only_ids"] = [HOSTILE]
    task["comparison"]["fairness"]["warnings"] = [HOSTILE, "line\u2028break"]
    task["models"][HOSTILE] = task["models"].pop("model")
    task["comparison"]["model"] = HOSTILE
    found["tasks"][HOSTILE] = task
    found["run"] |= {"command": HOSTILE, HOSTILE: {HOSTILE: HOSTILE}}
    return found
