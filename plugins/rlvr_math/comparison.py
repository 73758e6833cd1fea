"""Whether an answer equals the gold: by structure first, then expression by expression."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction

from rlvr_math.latex_text import compact, split_top
from rlvr_math.quantities import drop_thousands, is_rounded, percent, read_number, read_words, split_unit, units_clash
from rlvr_math.structure import Answer, Collection, Kind

SameEquation = Callable[[Sequence[str], Sequence[str], Fraction], bool]
"""Decides two expressions ((a,), (b,)) or two equations ((left, right), (left, right)) that need algebra.

The third argument is how far apart the values of two expressions may lie.
"""


@dataclass(frozen=True, slots=True)
class Rules:
    """What decides an equality beyond the text, and how far an answer may lie from a gold number.

    `absolute` holds for every number, `relative` (to the gold) for golds written with a decimal point or an exponent,
    or with `relative_to_all` for every number. `hundredfold` takes 100 x and x / 100 for x too.
    """

    by_algebra: SameEquation
    absolute: Fraction = Fraction(0)
    relative: Fraction = Fraction(0)
    relative_to_all: bool = False
    hundredfold: bool = False

    def slack(self, gold: str) -> Fraction:
        """How far from this gold, a number in any spelling, an answer may lie; 0 where it is no number."""
        number = read_number(gold)
        if number is None:
            return Fraction(0)
        relative = self.relative if self.relative_to_all or is_rounded(gold) else 0
        return max(self.absolute, abs(number) * relative)

    def same_number(self, gold: Fraction, answer: Fraction, slack: Fraction) -> bool:
        """Whether the answer lies within the slack of the gold."""
        scales = (1, 100, Fraction(1, 100)) if self.hundredfold else (1,)
        return any(abs(gold * scale - answer) <= slack * scale for scale in scales)


_IN_BASE = re.compile(r"[0-9A-Za-z]+_(?:\d|\{-?\d+\})")  # 52_8
_NAME_EXTRAS = re.compile(r"\\text\{[^{}]*\}|_(?:\w|\{\w+\}|\\text\{[^{}]*\})|\^(?:\d|\{\d+\})|\([A-Za-z0-9, ]*\)")
_LARGEST_SPELT = 10**100
_NAME = re.compile(r"[A-Za-z\\X∠][A-Za-z\\'+\- ]*")


def same_answer(gold: Answer, answer: Answer, rules: Rules) -> bool:
    """True for equal structure with equal expressions. What `rules.by_algebra` raises passes through."""
    if isinstance(gold, str) and isinstance(answer, str):
        return _same_leaf(gold, answer, rules)
    if isinstance(gold, str) or isinstance(answer, str):
        return False
    if {gold.kind, answer.kind} == {Kind.MATRIX, Kind.TUPLE}:
        return _is_vector(gold) and _is_vector(answer) and _same_in_order(gold, answer, rules)
    if gold.kind is not answer.kind or len(gold.items) != len(answer.items) or not _same_form(gold, answer):
        return False
    if gold.kind in (Kind.TUPLE, Kind.MATRIX):
        return _same_in_order(gold, answer, rules)
    return _same_in_any_order(gold.items, answer.items, rules)


def _same_form(gold: Collection, answer: Collection) -> bool:
    if gold.variable and answer.variable and gold.variable != answer.variable:
        return False
    return gold.form == answer.form or (gold.kind is Kind.TUPLE and len(gold.items) > 2)


def _is_vector(thing: Collection) -> bool:
    if thing.kind is Kind.TUPLE:
        return thing.form == "()"
    return thing.form.startswith("1x") or thing.form.endswith("x1")


def _same_in_order(gold: Collection, answer: Collection, rules: Rules) -> bool:
    pairs = zip(gold.items, answer.items, strict=False)
    return len(gold.items) == len(answer.items) and all(same_answer(g, a, rules) for g, a in pairs)


def _same_in_any_order(gold: Sequence[Answer], answer: Sequence[Answer], rules: Rules) -> bool:
    left = list(answer)
    for item in gold:
        found = next((i for i, candidate in enumerate(left) if same_answer(item, candidate, rules)), None)
        if found is None:
            return False
        del left[found]
    return True


def _same_leaf(gold: str, answer: str, rules: Rules) -> bool:
    if compact(gold) == compact(answer):
        return True
    gold_sides, answer_sides = split_top(gold, "="), split_top(answer, "=")
    if len(gold_sides) == len(answer_sides) == 1:
        return _same_expression(gold, answer, rules)
    if len(gold_sides) == 1:
        return _states_value(answer_sides, gold, rules)
    if len(answer_sides) == 1:
        return _is_name(gold_sides[0]) and _same_expression(gold_sides[-1], answer, rules)
    if _is_name(gold_sides[0]) and compact(gold_sides[0]) == compact(answer_sides[0]):
        return _same_expression(gold_sides[-1], answer_sides[-1], rules)
    gold_ends, answer_ends = [
        (drop_thousands(sides[0]), drop_thousands(sides[-1])) for sides in (gold_sides, answer_sides)
    ]
    return rules.by_algebra(gold_ends, answer_ends, Fraction(0))


def _states_value(sides: Sequence[str], gold: str, rules: Rules) -> bool:
    """`x = 5`, `a + b = 5`, `AB = 2 + 3 = 5` and `2 + 3 = 5` state 5; `2x = 5` and `1 + 1 = 5` do not."""
    if _is_name(sides[0]):
        return _same_expression(gold, sides[-1], rules)
    return all(_same_expression(gold, side, rules) for side in sides)


def _is_name(text: str) -> bool:
    return _NAME.fullmatch(_NAME_EXTRAS.sub(lambda m: "X" if m[0].startswith("\\") else "", text).strip()) is not None


def _same_expression(gold: str, answer: str, rules: Rules) -> bool:
    if compact(gold) == compact(answer):
        return True
    if "%" in gold or "%" in answer:
        return _same_percent(gold, answer, rules)
    if (known := _same_words(gold, answer)) is not None:
        return known
    gold_quantity, answer_quantity = split_unit(gold), split_unit(answer)
    if units_clash(gold_quantity, answer_quantity):
        return False
    gold, answer = gold_quantity.text, answer_quantity.text
    if compact(gold) == compact(answer):
        return True
    gold_number, answer_number, slack = read_number(gold), read_number(answer), rules.slack(gold)
    if gold_number is not None and answer_number is not None:
        return rules.same_number(gold_number, answer_number, slack)
    if not answer or _IN_BASE.fullmatch(compact(gold)) or _IN_BASE.fullmatch(compact(answer)):
        return False
    return rules.by_algebra((_for_algebra(gold, gold_number),), (_for_algebra(answer, answer_number),), slack)


def _for_algebra(text: str, number: Fraction | None) -> str:
    """A number in the one spelling that no parser misreads. "4.4e7" -> "44000000", "0.5" -> "\\frac{1}{2}"."""
    if number is None or max(abs(number.numerator), number.denominator) > _LARGEST_SPELT:
        return drop_thousands(text)
    top, bottom = abs(number.numerator), number.denominator
    value = str(top) if bottom == 1 else rf"\frac{{{top}}}{{{bottom}}}"
    return f"-{value}" if number < 0 else value


def _same_words(gold: str, answer: str) -> bool | None:
    """Words are equal as words or not at all; None where neither is words. `15` may answer `15\\text{ cm}`."""
    gold_words, answer_words = read_words(gold), read_words(answer)
    if gold_words is None:
        return None if answer_words is None or len(answer_words) == 1 else False
    if answer_words is None:
        return None if len(gold_words) == 1 and r"\text" not in gold else False
    return gold_words == answer_words


def _same_percent(gold: str, answer: str, rules: Rules) -> bool:
    """The sign belongs to the gold's scale: one reading of an answer counts, never both x and 100 x.

    Gold `50%` takes `50%`, `50` and 0.5. Gold 50 takes `50%`, the sign being a unit; gold 0.5 takes `50%`, a value.
    """
    gold_percent, answer_percent = percent(gold), percent(answer)
    gold_value, answer_value = split_unit(gold).text, split_unit(answer).text
    gold_number, answer_number = read_number(gold_value), read_number(answer_value)
    if gold_percent is not None:
        slack = rules.slack(gold_value.rstrip().removesuffix("%").rstrip())
        if answer_percent is not None:
            return rules.same_number(gold_percent, answer_percent, slack)
        return answer_number is not None and any(
            rules.same_number(gold_percent * scale, answer_number, slack * scale) for scale in (1, Fraction(1, 100))
        )
    if gold_number is None or answer_percent is None:
        return False
    scale = 100 if 0 < abs(gold_number) < 1 else 1
    return rules.same_number(gold_number * scale, answer_percent, rules.slack(gold_value) * scale)
