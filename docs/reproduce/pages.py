"""Costs of the recipes and published numbers, written into the pages of this folder: `python docs/reproduce/pages.py`.

A line `<!-- cost NAME [checkpoints=N] -->` stands for the run, or the sweep of N checkpoints, of configs/NAME.yaml; a
line `<!-- cost train tokens=T billions=B -->` for the `train` commands of the block before it. The line behind each is
written anew, and so is what stands between `<!-- assumptions -->` or `<!-- published SOURCE: WHERE -->` and
`<!-- end -->`; the latter is taken from published.yaml.
"""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import yaml

from rlvr_harness.costing import expected_samples
from rlvr_harness.preparing import plan_for
from rlvr_harness.presets import tasks_of
from rlvr_harness.run_spec import RunSpec, parse_spec, read_spec_file

HERE = Path(__file__).parent
PAGES = ("index.md", "yue.md", "leash.md")
PROBLEMS: Mapping[str, int] = {
    **{"gsm8k": 1319, "math500": 500, "minerva": 272, "olympiadbench": 675, "aime24": 30, "aime25": 30, "amc23": 40},
    **{"humanevalplus": 164, "mbppplus": 378, "livecodebench@2024-08..2025-01": 279},
    **{"mathvista": 460, "mathvision": 114, "omni_math_train": 2000, "omni_math_test": 821},
}
"""Problems of each task, of olympiadbench in the copy that has one more; a reasoning-gym generator makes GENERATED."""
GENERATED = 100
TRAINING_SHARE = 3
"""GPU time of a training step over that of its sampling alone: forward, backward and update come on top."""


@dataclass(frozen=True)
class Assumed:
    """What is assumed of a comparison: tokens of a mean sample of base and RL model, and the size of the models."""

    mean_tokens: int
    billions: float


TOKENS_PER_S: Mapping[float, int] = {1.5: 12_000, 7: 5_000, 8: 5_000, 14: 2_500, 32: 1_000}
"""Billions of parameters -> completion tokens a second and GPU with vLLM in bfloat16 and hundreds of samples under way.

Assumed, for a GPU of 80 GB; not measured by this project. `rlvr-harness plan --probe` measures yours.
"""
ASSUMED: Mapping[str, Assumed] = {
    "yue-math-qwen2.5-7b": Assumed(1_000, 7),
    "yue-math-qwen2.5-14b": Assumed(1_000, 14),
    "yue-math-qwen2.5-32b": Assumed(1_000, 32),
    "yue-math-llama3.1-8b": Assumed(1_000, 8),
    "yue-oat-zero-7b": Assumed(1_200, 7),
    "yue-dapo-32b": Assumed(4_000, 32),
    "yue-code-r1-7b": Assumed(600, 7),
    "yue-deepcoder-14b": Assumed(12_000, 14),
    "yue-vision-7b": Assumed(500, 7),
    "yue-algorithms": Assumed(1_200, 7),
    "yue-distillation-7b": Assumed(1_500, 7),
    "yue-frontier": Assumed(10_000, 0),
    "leash-math-1.5b": Assumed(10_000, 1.5),
    "leash-reasoning-gym-1.5b": Assumed(6_000, 1.5),
    "leash-math-7b": Assumed(1_200, 7),
}
"""Config -> what is assumed. No billions: a hosted model, which takes none of your GPUs."""
_COST = re.compile(r"(?m)^(<!-- cost (?P<words>[^>]+?) -->\n)(?P<old>.*)$")
_FILLED = re.compile(
    r"(<!-- (?:assumptions|published (?P<source>\w+): (?P<where>[^>]+?)) -->\n).*?(<!-- end -->)", re.DOTALL
)
_BLOCK = re.compile(r"^```bash\n(.*?)^```", re.DOTALL | re.MULTILINE)


def config_path(name: str) -> Path:
    """The file of a config."""
    return HERE / "configs" / f"{name}.yaml"


def spec_of(name: str) -> RunSpec:
    """The options of a config; one for `sweep` names no model, and is priced with the base in its place."""
    options = read_spec_file(config_path(name))
    return parse_spec({"model": options["base"], **options}, name)


def problems_of(task: str) -> int:
    """Problems of a task."""
    return GENERATED if task.startswith("reasoning_gym:") else PROBLEMS[task]


def samples_of(spec: RunSpec) -> tuple[float, int]:
    """Samples of one model: as expected, and at most."""
    plans = {task: plan_for(spec, task, n) for task, n in tasks_of(spec).items()}
    expected = sum(problems_of(task) * expected_samples(plan) for task, plan in plans.items())
    return expected, sum(problems_of(task) * plan.n for task, plan in plans.items())


def run_cost(name: str, checkpoints: int = 0) -> str:
    """The line of a run, or of a sweep of so many checkpoints with their base."""
    spec, assumed = spec_of(name), ASSUMED[name]
    models = checkpoints + 1 if checkpoints else len(spec.models)
    expected, most = (models * each for each in samples_of(spec))
    told = (
        f"Cost: {models} models; about {_short(expected)} samples expected, {_short(most)} at most; "
        f"{_short(expected * assumed.mean_tokens)} tokens expected, {_short(most * assumed.mean_tokens)} at most"
    )
    if not assumed.billions:
        return f"{told}; no GPU of yours."
    hours = [_hours(each * assumed.mean_tokens, assumed.billions) for each in (expected, most)]
    return f"{told}; {_short(hours[0])} GPU-hours expected, {_short(hours[1])} at most."


def train_cost(block: str, tokens: int, billions: float) -> str:
    """The line of the `train` commands in a block of a page, completions having `tokens` tokens in the mean."""
    rollouts = [_rollouts(shlex.split(line)) for line in commands(block) if line.startswith("rlvr-harness train ")]
    total = sum(rollouts)
    hours = TRAINING_SHARE * _hours(total * tokens, billions)
    return (
        f"Cost: {len(rollouts)} training{'s' * (len(rollouts) > 1)}; {_short(total)} rollouts of {tokens:,} tokens, "
        f"{_short(total * tokens)} tokens; {_short(hours)} GPU-hours."
    )


def commands(block: str) -> list[str]:
    """The commands of a block, lines that end in a backslash joined, comments left out."""
    lines = block.replace("\\\n", " ").splitlines()
    return [re.sub(r"\s+", " ", line).strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]


def blocks(page: str) -> list[str]:
    """The bash blocks of a page."""
    return _BLOCK.findall(page)


def _rollouts(words: list[str]) -> int:
    options = dict(pairwise(words))
    size = int(options["--prompts_per_step"]) * int(options["--samples_per_prompt"])
    return size * int(options["--steps"])


def _hours(tokens: float, billions: float) -> float:
    return tokens / TOKENS_PER_S[billions] / 3600


def _short(value: float) -> str:
    """Two digits. 1234567 -> "1.2 M", 0.034 -> "0.034"."""
    for size, name in ((1e12, " T"), (1e9, " B"), (1e6, " M"), (1e3, " k")):
        if value >= size * 0.995:
            return f"{float(f'{value / size:.2g}'):g}{name}"
    return f"{float(f'{value:.2g}'):g}"


def rendered(page: str) -> str:
    """The page with its costs, assumptions and published numbers as they are now."""

    def line(found: re.Match[str]) -> str:
        name, *words = found["words"].split()
        given = dict(word.split("=", 1) for word in words)
        if name != "train":
            return found[1] + run_cost(name, int(given.get("checkpoints", 0)))
        before = blocks(page[: found.start()])[-1]
        return found[1] + train_cost(before, int(given["tokens"]), float(given["billions"]))

    def filling(found: re.Match[str]) -> str:
        lines = published_lines(found["source"], found["where"]) if found["source"] else _assumptions()
        return "\n".join([found[1].rstrip(), "", *lines, "", found[4]])

    return _FILLED.sub(filling, _COST.sub(line, page))


def published_lines(source: str, where: str) -> Iterator[str]:
    """The published numbers of one place in a paper, as a Markdown table."""
    data = published()
    if where == "solvable":
        return _solvable(data["solvable"])
    if where == "entropy":
        return _entropy(data["entropy"])
    rows = [row for row in data["rows"] if (row["source"], row["where"]) == (source, where)]
    if not rows:
        raise ValueError(f"published.yaml has no rows of {source}: {where}")
    return _rows(rows)


def published() -> dict[str, Any]:
    """Content of published.yaml."""
    found: dict[str, Any] = yaml.safe_load((HERE / "published.yaml").read_text(encoding="utf-8"))
    return found


def _rows(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """One line a row; quantities that no paper prints are marked."""
    derived = {quantity for row in rows for quantity in row.get("derived", ())}
    names = list(rows[0]["values"])
    marked = [f"{_spoken(name)}{' (worked out)' * (name in derived)}" for name in names]
    with_task = any("task" in row for row in rows)
    yield _line(["", *["task"] * with_task, *marked])
    yield "|---" * (1 + with_task + len(names)) + "|"
    for row in rows:
        yield _line([row["label"], *[row.get("task", "")] * with_task, *(f"{row['values'][name]:g}" for name in names)])


def _solvable(listed: Mapping[str, Any]) -> Iterator[str]:
    yield from (f"Published ({listed['where']}):", "", "| model | solved |", "|---|---|")
    for role in ("base", "model"):
        yield _line([role, ", ".join(map(str, listed[role]))])


def _entropy(listed: Mapping[str, Any]) -> Iterator[str]:
    yield from (f"Published ({listed['where']}):", "", "| task | base's entropy | RL temperature |", "|---|---|---|")
    for task, found in listed["tasks"].items():
        yield _line([task, f"{found['base_entropy']:g}", f"{found['matching_temperature']:g}"])


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _spoken(quantity: str) -> str:
    """ "base.pass_at_k.1" -> "base pass@1", "comparison.coverage.both" -> "both"."""
    holder, *keys = quantity.split(".")
    if holder == "comparison":
        return "ΔSE" if keys[0] == "delta_se" else keys[-1].replace("_", " ")
    return f"{'RL' if holder == 'model' else holder} pass@{keys[-1]}"


def _assumptions() -> Iterator[str]:
    yield from ("| config | tokens of a sample | parameters | tokens/s and GPU |", "|---|---|---|---|")
    for name, assumed in ASSUMED.items():
        engine: tuple[Any, Any] = ("hosted", "-")
        if assumed.billions:
            engine = (f"{assumed.billions:g} B", f"{TOKENS_PER_S[assumed.billions]:,}")
        yield f"| [{name}](configs/{name}.yaml) | {assumed.mean_tokens:,} | {engine[0]} | {engine[1]} |"


def main() -> None:
    """Writes the pages anew; says which changed."""
    for name in PAGES:
        path = HERE / name
        page = path.read_text(encoding="utf-8")
        if (now := rendered(page)) != page:
            path.write_text(now, encoding="utf-8")
            print(f"{name}: costs written", file=sys.stderr)


if __name__ == "__main__":
    main()
