"""Which of an lm-eval task's own metrics decides on a sample, and from which score on it is right."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Real

from rlvr_harness.errors import TaskError, UsageError

Scores = Mapping[str, object]
"""What `process_results` gives for one response: metric -> score."""


@dataclass(frozen=True, slots=True)
class MetricChoice:
    """What the user asked for: `--metric NAME` or `NAME,FILTER` as in lm-eval's results, and `--threshold`."""

    metric: str | None = None
    threshold: float | None = None

    def __bool__(self) -> bool:
        """Whether anything was asked for."""
        return self.metric is not None or self.threshold is not None

    def filter_among(self, task: str, filters: Sequence[str], metrics: Sequence[str]) -> str:
        """The filter asked for, else the first listed. `metrics` are for the message alone. Raises UsageError."""
        _, comma, wanted = (self.metric or "").rpartition(",")
        if comma and wanted not in filters:
            raise UsageError(_unknown(task, self.metric, metrics, filters))
        return wanted if comma else filters[0]

    @property
    def metric_name(self) -> str | None:
        """The metric without its filter."""
        return self.metric.rpartition(",")[0] or self.metric if self.metric else None


NO_CHOICE = MetricChoice()


@dataclass(frozen=True, slots=True)
class Scoring:
    """What is known of a task's scoring before the first sample.

    `listed` are the metrics of its `metric_list`, `lower` those of which less is better. `probes` holds what
    `process_results` gave, through the filter in use, for texts such as the gold answer and the empty one.
    """

    task: str
    listed: Sequence[str]
    filters: Sequence[str]
    lower: frozenset[str]
    probes: Sequence[Scores]

    @property
    def metrics(self) -> list[str]:
        """Names of all metrics that a sample gets, those listed first."""
        found = list(dict.fromkeys(name for scores in self.probes for name in scores))
        return [name for name in self.listed if name in found] + [name for name in found if name not in self.listed]


@dataclass(frozen=True, slots=True)
class MetricRule:
    """When a sample is right. Without `threshold` the score must be 0 or 1."""

    task: str
    metric: str
    filter: str
    threshold: float | None
    higher_is_better: bool

    def __str__(self) -> str:
        """For example `exact_match,strict-match = 1` or `f1,none >= 0.5`."""
        if self.threshold is None:
            return f"{self.metric},{self.filter} = {int(self.higher_is_better)}"
        return f"{self.metric},{self.filter} {'>=' if self.higher_is_better else '<='} {self.threshold:g}"

    def is_right(self, scores: object) -> bool:
        """Whether these scores of one sample make it right.

        Raises UsageError where the metric can decide on no sample as the rule stands, ValueError where this one sample
        has no score.
        """
        value = scores.get(self.metric) if isinstance(scores, Mapping) else None
        if value is None:
            raise ValueError(f"process_results gave no '{self.metric}' for this text")
        score = self.number(value)
        if math.isnan(score):
            raise ValueError(f"process_results gave '{self.metric}' = nan for this text")
        if self.threshold is not None:
            return score >= self.threshold if self.higher_is_better else score <= self.threshold
        if score not in (0.0, 1.0):
            raise UsageError(
                f"task '{self.task}': metric '{self.metric}' gives {score:g}, neither 0 nor 1; say from where on a "
                f"sample is right: --metric {self.metric},{self.filter} --threshold T (`rlvr-harness verify DIR` takes "
                "both too, for samples drawn already)"
            )
        return score == float(self.higher_is_better)

    def number(self, value: object) -> float:
        """The score as a number; raises UsageError where it is none, as what lm-eval reduces over a whole data set."""
        if getattr(value, "ndim", None) == 0 and callable(item := getattr(value, "item", None)):
            value = item()
        if isinstance(value, Real):
            return float(value)
        raise UsageError(
            f"task '{self.task}': metric '{self.metric}' is a {type(value).__name__} per sample, which lm-eval reduces "
            "over the whole data set: it can judge no single sample; take another with --metric NAME"
        )


def choose_rule(scoring: Scoring, choice: MetricChoice, filter_name: str) -> MetricRule:
    """The rule that `choice` and the task make together. Raises UsageError where they leave a doubt."""
    for scores in scoring.probes:
        if not isinstance(scores, Mapping):
            raise TaskError(
                f"task '{scoring.task}': process_results gives a {type(scores).__name__}, not metric -> score, for "
                "one response; it can judge no single sample"
            )
    names = scoring.metrics or list(scoring.listed)
    name = choice.metric_name or _only_metric(scoring, names)
    if name not in names:
        raise UsageError(_unknown(scoring.task, choice.metric or name, names, scoring.filters))
    rule = MetricRule(scoring.task, name, filter_name, choice.threshold, name not in scoring.lower)
    for scores in scoring.probes:
        value = scores.get(name)
        if value is not None and not math.isnan(rule.number(value)):
            rule.is_right(scores)
    return rule


def describe_rule(rule: MetricRule, scoring: Scoring) -> str:
    """One line on what judges a task, and which other scores lm-eval would report."""
    used = f"{rule.metric},{rule.filter}"
    others = [key for key in _keys(scoring.metrics, scoring.filters) if key != used]
    also = f"; --metric can choose {' or '.join(others)}" if others else ""
    return f"task '{rule.task}': right means {rule} by lm-eval's own scoring{also}"


def _only_metric(scoring: Scoring, names: Sequence[str]) -> str:
    """The one metric there is to choose: of the `metric_list`, else of what `process_results` gives."""
    candidates = [name for name in scoring.listed if name in names] or list(names)
    if len(candidates) == 1:
        return candidates[0]
    if not candidates:
        raise TaskError(f"task '{scoring.task}' has no metric that could judge a sample")
    raise UsageError(
        f"task '{scoring.task}' has several metrics ({', '.join(candidates)}); choose with --metric NAME, and "
        "--threshold T where the score is not 0 or 1"
    )


def _unknown(task: str, wanted: str | None, metrics: Sequence[str], filters: Sequence[str]) -> str:
    return f"task '{task}' has no metric '{wanted}'; there are: {'; '.join(_keys(metrics, filters))}"


def _keys(metrics: Sequence[str], filters: Sequence[str]) -> list[str]:
    return [f"{metric},{name}" for metric in metrics for name in filters]
