"""results.json, schema `rlvr-harness/results/1`: keys that are always there have no default here."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from rlvr_harness.schemas.shapes import (
    Bounds,
    Count,
    Curve,
    Difference,
    Fraction,
    K,
    NotNegative,
    Open,
    PartialCurve,
    Point,
    Positive,
    Quantity,
    Shape,
    Signed,
    Tau,
)

BINS = 11
"""Accuracy 0, then (0, .1] ... (.9, 1]."""
Bins = Annotated[list[Count], Field(min_length=BINS, max_length=BINS)]


class Plan(Shape):
    """How samples were handed out; `imported` where another program drew them."""

    kind: Literal["fixed", "sequential", "imported"]
    n: Positive | None = Field(None, description="samples per problem that the plan allows")
    stages: list[Positive] | None = None
    stop_after: Positive | None = None


class Counts(Shape):
    """One entry a problem: its verified samples n, and the right ones c among them."""

    problem_id: list[str]
    n: list[Count]
    c: list[Count]


class GuessFloor(Shape):
    """pass@k of a solver that only guesses."""

    uniform: dict[K, Fraction] | None
    label: str = ""
    empirical: dict[K, Fraction | None] | None


class Extrapolated(Shape):
    """pass@K past the samples drawn, under a fitted law."""

    law: str
    a: NotNegative
    b: NotNegative
    zero_share: Fraction
    one_share: Fraction
    from_n: Positive
    fit_p: Fraction
    warning: str | None
    pass_at_k: Curve


class TokenEntropy(Shape):
    """What `rlvr-harness entropy` measured, in nats."""

    at_1: Quantity
    at_sampling: Quantity | None


class Entropy(Shape):
    """Entropy of answers, and of tokens where that was measured."""

    answer: NotNegative | None
    token: TokenEntropy | None


class TextPerplexity(Quantity):
    """Perplexity of one author's texts."""

    texts: Count
    tokens: Count


class Perplexity(Shape):
    """What `rlvr-harness ppl` measured of this model as scorer: author of the texts -> perplexity."""

    of: dict[str, TextPerplexity]


class ChainMarks(Shape):
    """What `rlvr-harness audit` knows of the chains of thought behind right answers."""

    judges: list[str]


class Model(Shape):
    """One model on one task."""

    name: str
    samples: Count = Field(description="samples drawn: right + wrong + void")
    right: Count
    wrong: Count
    void: Count = Field(description="samples that the harness could not judge; in no metric")
    truncated: Count | None = Field(description="samples that ended at the token limit")
    truncated_share: Fraction | None = None
    mean_tokens: NotNegative | None
    plan: Plan
    duplicates: Fraction | None = Field(description="share of texts that repeat another of the same problem")
    counts: Counts | None = None
    pass_at_k: Curve
    pass_hat_k: PartialCurve
    g_pass_at_k: dict[Tau, PartialCurve]
    cover_at_tau: dict[Tau, Point]
    maj_at_k: PartialCurve | None
    maj_at_k_draws: Positive | None = None
    entropy: Entropy
    distinct_answers: NotNegative | None = None
    auc_at_k: Fraction | None
    accuracy_histogram: Bins = Field(description="problems by accuracy: 0, then (0, .1] ... (.9, 1]")
    guess_floor: GuessFloor
    extrapolated: Extrapolated | None
    perplexity: Perplexity | None
    verifier_disagreement: dict[str, Open] | None = None
    cot: ChainMarks | None = None
    plugin_metrics: dict[str, Open] | None = None


class Crossover(Shape):
    """The smallest k at which the base is level or ahead; null stands for "not up to the largest k"."""

    verdict: Literal["crossed", "not_crossed", "undecided"]
    k: Positive | None
    low: Positive | None
    high: Positive | None
    draws_crossed: Fraction | None = None


class Coverage(Shape):
    """Problems by which of the two models solved them at least once."""

    k: Positive | None = Field(description="samples per problem that the sets rest on")
    both: Count
    base_only: Count
    model_only: Count
    neither: Count
    mcnemar_p: Fraction | None
    base_only_ids: list[str]
    model_only_ids: list[str]
    undecided_ids: list[str]
    miss_bound: Fraction | None = None


class Support(Shape):
    """Support metrics of arXiv:2507.14843; null where a denominator is 0."""

    srr: Fraction | None
    ndr: Fraction | None
    sds: Fraction | None
    nscr: Signed | None
    intervals: dict[str, Bounds | None] | None = None


class Gap(Shape):
    """Sampling efficiency gap: pass@k of the base at this k less pass@1 of the model."""

    k: Positive | None
    value: Signed | None
    low: Signed | None = None
    high: Signed | None = None
    sampling_low: Signed | None = None
    sampling_high: Signed | None = None


class Shift(Shape):
    """How accuracy moved problem by problem: row by the base's bin, column by the model's."""

    bins: Annotated[list[Bins], Field(min_length=BINS, max_length=BINS)]
    mean: Difference | None


class Fairness(Shape):
    """Whether the two were compared under the same conditions; null where that is not known."""

    same_prompt: bool | None
    same_sampling: bool | None
    warnings: list[str]
    eos_tokens: list[str] | None = None


class Comparison(Shape):
    """A model against the base, on the problems that both have."""

    base: str
    model: str
    problems: Count | None = None
    difference: dict[K, Difference]
    crossover: Crossover
    coverage: Coverage
    support: Support
    delta_se: Gap
    shift: Shift | None = None
    fairness: Fairness


class Task(Shape):
    """All models of one task."""

    problems: Count
    models: dict[str, Model]
    warnings: list[str] | None = None
    comparison: Comparison | None = Field(None, description="absent without a base")
    comparisons: list[Comparison] | None = Field(None, description="only with more than one model beside the base")


class Run(Shape):
    """What a reader of the results needs of run.json."""

    title: str | None = None
    created: str | None = None
    command: str | None = None
    harness_version: str | None = None
    git_commit: str | None = None
    models: dict[str, Open] | None = None
    tasks: dict[str, Open] | None = None
    sampling: Open | None = None


class Results(Shape):
    """Measured results of one run."""

    schema_: Literal["rlvr-harness/results/1"] = Field(alias="schema")
    run: Run
    tasks: dict[str, Task] = Field(description="by name of the task")
