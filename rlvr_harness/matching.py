"""Finds the temperature at which a model is as undecided as the base was when it was sampled."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from rlvr_harness.analyses import mean_entropy
from rlvr_harness.contracts import OpenModel
from rlvr_harness.errors import ModelError, UsageError
from rlvr_harness.fairness import ON_PURPOSE
from rlvr_harness.planning import sample_seed
from rlvr_harness.records import Measurement, Problem
from rlvr_harness.requests import SampleRequest, SamplingLaw
from rlvr_harness.scoring_contracts import EntropyModel, TextPair

LOWEST, HIGHEST = 0.05, 8.0
"""Temperatures looked at; below the first every model is nearly greedy, above the second nearly uniform."""
MOST_STEPS = 20
NARROW = 0.005
"""Width of the bracket, in temperature, at which the search ends: the second digit is all that a report shows."""
Entropy = Callable[[float], float]
Tell = Callable[[str], object]


@dataclass(frozen=True)
class Step:
    """One temperature that was looked at, and the token entropy there, in nats."""

    temperature: float
    entropy: float


@dataclass(frozen=True)
class Match:
    """The temperature found, and how; `tolerance` is the half width of the base's 95 % interval."""

    temperature: float
    entropy: float
    target: float
    tolerance: float
    path: tuple[Step, ...]

    def as_data(self) -> dict[str, Any]:
        """For analyses/entropy/matching.json."""
        path = [{"temperature": step.temperature, "entropy": step.entropy} for step in self.path]
        return {
            "temperature": self.temperature,
            "entropy": self.entropy,
            "target": self.target,
            "tolerance": self.tolerance,
            "path": path,
        }


def find_temperature(entropy: Entropy, target: Measurement, start: float, tell: Tell) -> Match:
    """Bisects for the temperature whose entropy is the target's within its interval; entropy rises with temperature.

    Looks from `start` outwards, doubling or halving, until the target lies between two temperatures.
    Raises UsageError where it lies beyond all of them.
    """
    tolerance = _tolerance(target)
    path: list[Step] = []

    def look(temperature: float) -> Step:
        path.append(Step(temperature, entropy(temperature)))
        tell(
            f"T = {temperature:.4g}: token entropy {path[-1].entropy:.4f}, wanted {target.value:.4f} +- {tolerance:.4f}"
        )
        return path[-1]

    step = look(start)
    below: Step | None = None
    above: Step | None = None
    while abs(step.entropy - target.value) > tolerance and len(path) < MOST_STEPS:
        if step.entropy < target.value:
            below = step
        else:
            above = step
        if below and above:
            if above.temperature - below.temperature <= NARROW:
                break
            step = look((below.temperature + above.temperature) / 2)
        else:
            step = look(_outwards(step, rising=above is None, target=target.value))
    best = min(reversed(path), key=lambda each: abs(each.entropy - target.value))
    return Match(best.temperature, best.entropy, target.value, tolerance, tuple(path))


def _tolerance(target: Measurement) -> float:
    if target.low is None or target.high is None:
        return 0.01 * target.value
    return (target.high - target.low) / 2


def _outwards(step: Step, rising: bool, target: float) -> float:
    """The next temperature in the direction of the target."""
    wanted = step.temperature * 2 if rising else step.temperature / 2
    bounded = min(max(wanted, LOWEST), HIGHEST)
    if math.isclose(bounded, step.temperature):
        raise UsageError(
            f"no temperature from {LOWEST:g} to {HIGHEST:g} gives the model the base's token entropy of {target:.4f} "
            f"(at {step.temperature:g} it has {step.entropy:.4f}); nothing can be matched"
        )
    return bounded


@dataclass(frozen=True)
class FreshTexts:
    """Which texts are drawn anew at each temperature: the same problems, and the same seeds, every time."""

    problems: Sequence[Problem]
    per_problem: int
    seed: int

    def requests(self) -> list[SampleRequest]:
        """One request per problem; the seeds are none of the run's own."""
        return [
            SampleRequest(
                problem,
                tuple(range(self.per_problem)),
                tuple(
                    sample_seed(self.seed, f"{problem.task} matched", problem.problem_id, j)
                    for j in range(self.per_problem)
                ),
            )
            for problem in self.problems
        ]


def fresh_texts(problems: Sequence[Problem], most: int, per_problem: int, seed: int) -> FreshTexts:
    """The texts of a search: at most `most` problems, evenly spaced, so that no end of the task is left out."""
    step = max(1, math.ceil(len(problems) / most))
    return FreshTexts(problems[::step], per_problem, seed)


def entropy_at(model: OpenModel, fresh: FreshTexts, law: SamplingLaw) -> Entropy:
    """Temperature -> token entropy of the model, at that temperature, on texts that it writes at it."""
    requests = fresh.requests()
    longest = law.max_gen_toks + max((len(problem.prompt) for problem in fresh.problems), default=0)
    rows = max(1, model.rows_per_unit(longest) // fresh.per_problem)

    def measure(temperature: float) -> float:
        if not isinstance(model, EntropyModel):
            raise UsageError("this sampler hands out no whole distributions; match with --sampler hf")
        at = replace(law, temperature=temperature)
        found: list[tuple[str, float, int]] = []
        for start in range(0, len(requests), rows):
            unit = tuple(requests[start : start + rows])
            prompts = {request.problem.problem_id: request.problem.prompt for request in unit}
            samples = model.sample(unit, at)
            pairs = [TextPair(prompts[sample.problem_id], sample.text) for sample in samples]
            for place, one in model.token_entropies(pairs, (temperature,)):
                if one.sums is not None and one.n_tokens:
                    found.append((samples[place].problem_id, one.sums[0], one.n_tokens))
        mean = mean_entropy(found, fresh.seed)
        if mean is None:
            raise ModelError(
                f"at temperature {temperature:g} the model writes empty texts alone; nothing can be matched"
            )
        return mean.value

    return measure


def describe(match: Match) -> str:
    """What was matched, in one sentence."""
    missed = "" if abs(match.entropy - match.target) <= match.tolerance else ", the nearest that was found"
    return (
        f"{ON_PURPOSE}: entropy matched (the model's token entropy of {match.entropy:.4f} at "
        f"T = {match.temperature:.4g} against the base's {match.target:.4f} +- {match.tolerance:.4f}{missed})"
    )
