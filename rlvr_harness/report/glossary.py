"""What each number of a report means: one definition a term, found by the words a table or a tile uses."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Term:
    """A defined term: `key` names its anchor, `pattern` fits the headings that stand for it."""

    key: str
    name: str
    definition: str
    pattern: str


TERMS = (
    Term(
        "pass-at-k",
        "pass@k",
        "The chance that at least one of k samples of a problem is right, averaged over problems. Estimated without "
        "bias from n ≥ k samples, c of them right: 1 \N{MINUS SIGN} C(n \N{MINUS SIGN} c, k) / C(n, k) "
        "(Chen et al. 2021).",
        r"pass@k(, %)?|pass@[\d,]+.*",
    ),
    Term("k", "k", "Samples per problem that a solver may try.", r"k|K"),
    Term("n", "n", "Samples per problem that were drawn and judged.", r"n"),
    Term(
        "interval",
        "95 % interval",
        "The numbers in brackets. Problems are drawn anew with replacement, so the interval speaks of new problems of "
        "this kind.",
        r"95 % interval",
    ),
    Term(
        "sampling-only",
        "sampling only",
        "95 % interval with these problems held fixed: what drawing new samples of the same problems would change.",
        r"sampling only",
    ),
    Term(
        "difference",
        "Paired difference",
        "pass@k of the model minus pass@k of its base in percentage points, each problem compared with itself.",
        r"Paired difference.*|.* \N{MINUS SIGN} .*",
    ),
    Term(
        "crossover",
        "Crossover k*",
        "The smallest k at which the base is level with or above the model, with a 95 % interval over problems. "
        "“Undecided” where the intervals leave open whether the curves cross.",
        r".* overtakes .*|[Cc]rossover.*|k\*",
    ),
    Term(
        "guess-floor",
        "Guess floor",
        "pass@k of a solver that only guesses. Dashed grey: uniformly among the possible answers. Dotted: the model's "
        "own answers, graded against other problems of the task.",
        r"guess floor|guess_floor.*",
    ),
    Term(
        "extrapolated",
        "Extrapolated pass@k",
        "pass@k beyond the samples drawn: a beta-binomial law with a share of problems never solved, fitted to the "
        "counts. Not measured; always drawn dashed.",
        r"[Ee]xtrapolated.*",
    ),
    Term(
        "zero-share",
        "Never solved",
        "In the fitted law, the share of problems with no chance at all, however many samples.",
        r"never solved",
    ),
    Term(
        "fit",
        "Fit",
        "p value of the fit: small where the law does not describe the counts, and its predictions should not be used.",
        r"fit p",
    ),
    Term(
        "solved",
        "Solved",
        "At least one right sample among the n of a problem. Unsolved means unseen in these samples, not impossible.",
        r"[Ss]olved by.*|Who solves what.*|both|neither|(?!sampling).* only",
    ),
    Term(
        "undecided",
        "Undecided problem",
        "Solved by one model only, yet the 95 % intervals of the two success rates overlap: it may be luck.",
        r"undecided",
    ),
    Term(
        "mcnemar",
        "Exact McNemar test",
        "Chance of a split between “base only” and “model only” at least this uneven if neither side were favoured.",
        r"exact McNemar",
    ),
    Term(
        "srr", "SRR", "Support retention rate: share of the base's solved problems that the model still solves.", r"SRR"
    ),
    Term("ndr", "NDR", "Net discovery rate: share of the model's solved problems that the base did not solve.", r"NDR"),
    Term("sds", "SDS", "Support dynamics score: harmonic mean of SRR and NDR; 0 when nothing new is solved.", r"SDS"),
    Term(
        "nscr",
        "NSCR",
        "Net support change rate: (newly solved minus lost) / problems solved by either; below 0 the set shrank.",
        r"NSCR",
    ),
    Term(
        "delta-se",
        "ΔSE",
        "Sampling efficiency gap: base pass@K minus the model's pass@1, in points. Lower is better: it is what RL left "
        "to gain.",
        r"ΔSE.*",
    ),
    Term(
        "accuracy",
        "Accuracy of a problem",
        "Share of a problem's samples that are right, in 11 bins: exactly 0, then (0, 10] to (90, 100] percent.",
        r"accuracy, %|How often each problem is solved",
    ),
    Term(
        "shift",
        "Accuracy shift",
        "Problems by their accuracy under the base (across) and under the model (up). Above the diagonal a problem is "
        "solved more often than before.",
        r"Accuracy shift.*",
    ),
    Term(
        "mean-shift", "Mean shift", "Mean change of a problem's accuracy from base to model, in points.", r"mean shift"
    ),
    Term(
        "perplexity",
        "Perplexity",
        "exp of the mean negative log-probability per token that a model gives to a text. Low: the model would write "
        "it itself. Text of the RL model with low perplexity under the base lies within what the base can say.",
        r"text of .*|[Pp]erplexity.*",
    ),
    Term(
        "token-entropy",
        "Token entropy",
        "Mean entropy in nats of the next-token distribution over the full vocabulary, along the model's own texts: at "
        "temperature 1, and at the temperature that was sampled with.",
        r"tokens at .*|entropy token.*",
    ),
    Term(
        "answer-entropy",
        "Answer entropy",
        "Entropy in nats over the distinct answers to a problem, averaged; samples without an answer are one class.",
        r"answers|entropy answer|entropy$",
    ),
    Term(
        "cot",
        "Chains of thought",
        "Among samples with a right answer whose reasoning was read and marked, the share with right reasoning.",
        r"right reasoning|marked",
    ),
    Term(
        "cot-pass-at-k",
        "CoT-Pass@k",
        "pass@k that counts a sample only if its answer and its chain of thought are both right.",
        r"CoT-Pass@.*",
    ),
    Term("pass-hat-k", "pass^k", "The chance that all k samples of a problem are right.", r"pass\^.*"),
    Term("maj-at-k", "maj@k", "The chance that the most frequent answer among k samples is right.", r"maj@.*"),
    Term("g-pass-at-k", "G-Pass@k", "The chance that at least a share τ of k samples is right.", r"G-Pass@.*"),
    Term("cover", "Cover@τ", "Share of problems with at least a share τ of right samples.", r"Cover@.*"),
    Term("auc", "AUC@K", "Area under pass@1 to pass@K over log k, as a share of the whole.", r"AUC@K"),
    Term("distinct", "Distinct answers", "Mean number of different answers per problem.", r"distinct answers"),
    Term(
        "void",
        "void",
        "Samples without a verdict because the harness failed; retried, never counted as wrong.",
        r"void",
    ),
    Term(
        "truncated",
        "truncated",
        "Samples that ended at the token limit; the share is of those that every problem has.",
        r"truncated",
    ),
    Term(
        "mean-tokens",
        "mean tokens",
        "Length of the samples that every problem has: sequential sampling draws more of hard problems.",
        r"mean tokens",
    ),
    Term(
        "duplicates",
        "duplicates",
        "Share of samples whose text repeats another sample of the same problem.",
        r"duplicates",
    ),
    Term(
        "saved",
        "Samples saved",
        "Sequential sampling leaves a problem after enough right samples; estimates stay unbiased. Saved: what the "
        "full number of samples for every problem would have cost more.",
        r"saved|of full plan",
    ),
    Term("engine", "engine time", "Time spent inside the sampler, without verifying or waiting.", r"engine time"),
    Term("differ", "differ", "Share of samples that two verifiers judge differently.", r"differ"),
    Term(
        "band",
        "pass@k between",
        "pass@k if only samples that both verifiers accept count, and if samples that either accepts count.",
        r"k between|pass@k between",
    ),
    Term(
        "floor",
        "Verifier floor",
        "pass@k of a model that is never right, if the first verifier accepts wrong samples as often as it accepts "
        "what the second refuses.",
        r"floor",
    ),
    Term("step", "step", "Training step of a checkpoint; the base stands at step 0.", r"step"),
)


def term(words: str) -> Term | None:
    """The term that a heading stands for, the most specific first; None where it is defined nowhere."""
    fitting = (entry for entry in reversed(TERMS) if re.fullmatch(entry.pattern, words))
    return next(fitting, None)
