"""Numbers and findings in words: what the data say, and no more."""

from __future__ import annotations

from collections.abc import Iterable

from rlvr_harness.records import Measurement
from rlvr_harness.report.reading import (
    BASE_ROLE,
    MODEL_ROLE,
    Results,
    at,
    chosen_ks,
    compared_roles,
    comparisons,
    curve,
    label,
    largest_n,
    listed,
    mapping,
    number,
    roles,
    text,
    whole,
)

NONE = "\N{EN DASH}"
MINUS = "\N{MINUS SIGN}"


def percent(value: float | None, digits: int = 1) -> str:
    """0.116 -> '11.6', without the sign of percent; None -> a dash."""
    if value is None:
        return NONE
    shown = f"{100 * value:.{digits}f}"
    return shown if float(shown) else shown.removeprefix("-")


def points(value: float | None) -> str:
    """-0.11 -> '-11.0' with a true minus, +0.061 -> '+6.1'; None -> a dash."""
    if value is None:
        return NONE
    shown = f"{100 * value:+.1f}"
    return "0.0" if shown in ("+0.0", "-0.0") else shown.replace("-", MINUS)


def count(value: float | None) -> str:
    """51200 -> '51,200'; None -> a dash."""
    return NONE if value is None else f"{value:,.0f}"


def duration(seconds: float | None) -> str:
    """5.2 -> '5.2 s', 400 -> '6.7 min', 9000 -> '2.5 h'; None -> a dash."""
    if seconds is None:
        return NONE
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def plural(amount: int, noun: str) -> str:
    """1 -> '1 problem', 3 -> '3 problems'."""
    return f"{amount:,} {noun}" if amount == 1 else f"{amount:,} {noun}s"


def bracket(low: float | None, high: float | None, signed: bool = False) -> str:
    """'[8.9, 14.6]' in percent, or '' where a side is missing."""
    show = points if signed else percent
    return "" if low is None or high is None else f"[{show(low)}, {show(high)}]"


def with_interval(point: Measurement | None, signed: bool = False) -> str:
    """'11.6 [8.9, 14.6]' in percent, the interval over problems where there is one."""
    if point is None:
        return NONE
    shown = points(point.value) if signed else percent(point.value)
    return f"{shown} {bracket(point.low, point.high, signed)}".rstrip()


def p_value(value: float | None) -> str:
    """'p = 0.0106', 'p < 0.0001', or ''."""
    if value is None:
        return ""
    if value < 0.0001:
        return "p < 0.0001"
    return f"p = {value:.3g}" if value >= 0.001 else f"p = {value:.4f}"


def crossover_range(crossover: Results) -> str:
    """' [9, 27]', ' (at least 9)', ' (at most 27)' or '': the 95 % interval of the crossover k."""
    low, high = number(crossover, "low"), number(crossover, "high")
    if low is not None and high is not None:
        return f" [{low:,.0f}, {high:,.0f}]"
    if low is not None:
        return f" (at least {low:,.0f})"
    return "" if high is None else f" (at most {high:,.0f})"


def the(task: Results, role: str) -> str:
    """'the base', 'the RL model', or the bare name of any other role."""
    return f"the {label(task, role)}" if role in (BASE_ROLE, MODEL_ROLE) else label(task, role)


def sentence_case(words: str, role: str) -> str:
    """`words` with a capital, unless they open with a name the user chose."""
    return words[:1].upper() + words[1:] if role in (BASE_ROLE, MODEL_ROLE) else words


def crossover_clause(task: Results, comparison: Results) -> str:
    """What the crossover says, e.g. 'Base overtakes at k = 15 [9, 27]'; '' where none was measured."""
    base, model = compared_roles(comparison)
    subject = sentence_case(label(task, base), base)
    overtakes = "overtakes" if model == MODEL_ROLE else f"overtakes {the(task, model)}"
    crossover = mapping(comparison, "crossover")
    verdict, k = crossover.get("verdict"), whole(crossover, "k")
    reach = max(curve(comparison, "difference"), default=None)
    until = "" if reach is None else f" up to k = {reach:,}"
    if verdict == "not_crossed":
        return f"{subject} never {overtakes}{until}"
    if verdict == "undecided":
        seen = "" if k is None else f": the estimates meet at k = {k:,}{crossover_range(crossover)}"
        return f"Undecided whether {the(task, base)} {overtakes}{until}{seen}"
    if verdict != "crossed":
        return ""
    if k is not None and k <= 1:
        leads = (curve(comparison, "difference").get(reach or 0, Measurement(0.0)).value or 0.0) > 0
        turn = f", but below it at k = {reach:,}" if leads else ""
        return f"{subject} is level with or above {the(task, model)} from the start, at k = 1{turn}"
    place = "" if k is None else f" at k = {k:,}{crossover_range(crossover)}"
    return f"{subject} {overtakes}{place}"


def coverage_clause(task: Results, comparison: Results) -> str:
    """Which problems each solved that the other did not; '' where coverage was not measured."""
    base, model = compared_roles(comparison)
    gained, lost = whole(comparison, "coverage", "model_only"), whole(comparison, "coverage", "base_only")
    if gained is None or lost is None:
        return ""
    n = whole(comparison, "coverage", "k")
    test, undecided = (
        p_value(number(comparison, "coverage", "mcnemar_p")),
        listed(comparison, "coverage", "undecided_ids"),
    )
    facts = [
        "" if n is None else f"n = {n:,}",
        f"exact McNemar {test}" if test else "",
        f"{len(undecided):,} of these undecided" if undecided else "",
    ]
    details = f" ({', '.join(fact for fact in facts if fact)})" if any(facts) else ""
    if not gained and not lost:
        return f"{the(task, model)} and {the(task, base)} solve the same problems{details}"
    gains = plural(gained, "problem") if gained else "no problem"
    return (
        f"{the(task, model)} solves {gains} that {the(task, base)} did not, "
        f"{the(task, base)} {f'{lost:,}' if lost else 'none'} that {the(task, model)} did not"
        f"{details}"
    )


def hedge(n: int | None) -> str:
    """What not solving in n samples leaves open: misses alone bound the success rate by 1 - 0.05^(1/n) at 95 %."""
    if not n or n < 1:
        return "Unsolved means unseen in these samples, not impossible."
    bound = 1 - 0.05 ** (1 / n)
    return (
        f"Unsolved means unseen in {plural(n, 'sample')}, not impossible: "
        f"a problem solved in {100 * bound:.2g} % of samples goes unseen one time in 20."
    )


def comparison_sentence(task: Results, comparison: Results) -> str:
    """The findings of one comparison as one sentence."""
    solved = [whole(comparison, "coverage", quadrant) for quadrant in ("both", "base_only", "model_only")]
    if solved == [0, 0, 0]:
        base, model = (the(task, role) for role in compared_roles(comparison))
        return f"Neither {base} nor {model} solved any problem: there is nothing to compare."
    crossing, coverage = crossover_clause(task, comparison), coverage_clause(task, comparison)
    if crossing and coverage:
        return f"{crossing}; {coverage}."
    base, model = compared_roles(comparison)
    if coverage:
        return f"{sentence_case(coverage, model)}."
    if crossing:
        return f"{crossing}."
    pair = f"{the(task, base)} and {the(task, model)}"
    return f"Too little was measured to compare {pair}."


def single_sentence(task: Results) -> str:
    """pass@1 and pass@K of each model, where nothing is compared."""
    parts = []
    for role in roles(task):
        curve_of = curve(task, "models", role, "pass_at_k")
        shown = [f"pass@{k:,} = {with_interval(curve_of[k])} %" for k in chosen_ks(list(curve_of), 2)]
        parts.append(f"{sentence_case(label(task, role), role)}: {', '.join(shown) or 'nothing measured'}")
    problems = whole(task, "problems")
    over = "" if problems is None else f" over {plural(problems, 'problem')}"
    return f"{'; '.join(parts) or 'Nothing was measured'}{over}. No base to compare with."


def verdict_sentences(task: Results) -> list[str]:
    """One sentence for each comparison of a task, the headline first, without the caveat."""
    return [comparison_sentence(task, entry) for entry in comparisons(task)] or [single_sentence(task)]


def caveat(task: Results) -> str:
    """What the headline leaves open; '' where it claims nothing about unsolved problems."""
    for comparison in comparisons(task)[:1]:
        if coverage_clause(task, comparison):
            base, _ = compared_roles(comparison)
            return hedge(whole(comparison, "coverage", "k") or largest_n(task, base))
    return ""


def saving_sentence(task: Results) -> str:
    """What sequential sampling saved and what width it cost, in one sentence; '' where every sample was drawn."""
    plans = {role: mapping(task, "models", role, "plan") for role in roles(task)}
    plans = {role: plan for role, plan in plans.items() if plan.get("kind") == "sequential"}
    drawn = []
    for role, plan in plans.items():
        samples, full = number(task, "models", role, "samples"), number(plan, "expected_full")
        if samples is not None and full:
            drawn.append(
                f"{count(samples)} of {count(full)} samples ({percent(samples / full)} %) for {label(task, role)}"
            )
    if not drawn:
        return ""
    stops = " or ".join(dict.fromkeys(count(number(plan, "stop_after")) for plan in plans.values()))
    wider, noisier = (_widest(plans.values(), name) for name in ("interval_width", "sampling_width"))
    price = ""
    if wider and noisier:
        price = f", at a price: intervals are up to {wider} as wide as all samples would give"
        price += f", those of sampling alone up to {noisier}"
    return (
        f"Sequential sampling, which leaves a problem after {stops} right samples and biases no estimate, drew "
        f"{' and '.join(drawn)}{price}."
    )


def _widest(plans: Iterable[Results], name: str) -> str:
    """'1.1 times (at k = 1)': the largest width as drawn, over that with all samples; '' where none is recorded."""
    ratios = {}
    for plan in plans:
        for key, entry in mapping(plan, name).items():
            drawn, full = number(entry, "plan"), number(entry, "full")
            if str(key).isdigit() and drawn is not None and full:
                ratios[drawn / full] = int(key)
    return f"{max(ratios):.1f} times (at k = {ratios[max(ratios)]:,})" if ratios else ""


def verdict_sentence(task_results: Results) -> str:
    """The headline finding of a task in one line, with its caveat."""
    return f"{verdict_sentences(task_results)[0]} {caveat(task_results)}".strip()


def sampling_law(run: Results) -> str:
    """'temperature 1, top-p 0.95, up to 16,384 tokens', from what is recorded."""
    law = at(run, "sampling")
    shown = [
        f"{name} {value:g}"
        for key, name in (("temperature", "temperature"), ("top_p", "top-p"), ("top_k", "top-k"), ("min_p", "min-p"))
        if (value := number(law, key)) is not None and (key in ("temperature", "top_p") or value > 0)
    ]
    tokens = whole(law, "max_gen_toks")
    return ", ".join([*shown, *([f"up to {plural(tokens, 'token')}"] if tokens else [])])


def fairness_warnings(task: Results) -> list[str]:
    """The fairness notes that a reader must not miss: all but the good news."""
    return [note for note in fairness_notes(task) if not note.startswith("Same ")]


def fairness_notes(task: Results) -> list[str]:
    """Whether compared models met the same conditions, then every recorded warning, each once."""
    notes = []
    for comparison in comparisons(task):
        for key, what in (("same_prompt", "prompts"), ("same_sampling", "sampling law")):
            same = at(comparison, "fairness", key)
            if isinstance(same, bool):
                base, model = compared_roles(comparison)
                kind = "Same" if same else "DIFFERENT"
                notes.append(f"{kind} {what} for {label(task, model)} and {label(task, base)}.")
        notes += [text(warning) for warning in listed(comparison, "fairness", "warnings")]
    return list(dict.fromkeys(notes + [text(warning) for warning in listed(task, "warnings")]))
