"""Equality of expressions that are not plain numbers: math-verify's parser reads them, exact evaluation decides.

The parser alone is too lenient to trust (`2 3` is read as 5, floats are compared to 6 digits), so nothing reaches it
that it is known to misread, decimals become fractions first, and values are compared to at least 40 digits.
"""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from typing import Any

LONGEST = 400
_DEEPEST_BRACKETS = 7
_LARGEST_BITS = 100_000
_DECIMAL = re.compile(r"(?<!\d)(\d*)\.(\d+)")
_MISREAD = re.compile(
    r"\d\s+\d|\\text|\\(?:over)?line|[%&;,?#@]|\.\."
    r"|\\(?:mid|[lc]?dots|ne|approx|sim|simeq|equiv|cong|to)(?![A-Za-z])"
)
_HUGE = re.compile(r"\d{301,}|\\binom\{?\d{5,}|\\(?:prod|sum|int|lim)(?![A-Za-z])")
_MIXED = re.compile(r"(?<![\w^.\\}])(\d+) ?(?=\\frac\{\d+\}\{\d+\})")
_FACTOR = re.compile(r"((?<![_^\w\\])\d+|(?<=[)\]])) ?(?=\()")
_EXPONENT = re.compile(r"(?<=\d)[eE]([-+]?\d+)(?!\w)")
_NONE = Fraction(0)
_POINTS = ((3, 7), (-5, 3), (11, 4), (2, 9))
_STEPS = tuple((whole, 1) for whole in range(1, 16))  # where rounding shows; none larger than `_bits` assumes


class TooComplexError(Exception):
    """The answer would take unbounded work to evaluate; decided by its form alone, so always alike."""


class UnreadableError(Exception):
    """The answer is not an expression."""


class NeedsAlgebraError(Exception):
    """Only a computer algebra system can tell."""


def leave_to_workers(_gold: Sequence[str], _answer: Sequence[str], _slack: Fraction) -> bool:
    """Raises NeedsAlgebraError: for callers that want an answer at once or none."""
    raise NeedsAlgebraError


def never_by_algebra(_gold: Sequence[str], _answer: Sequence[str], _slack: Fraction) -> bool:
    """False: for callers that count nothing as equal that is not seen without algebra."""
    return False


def equal_by_algebra(gold: Sequence[str], answer: Sequence[str], slack: Fraction = _NONE) -> bool:
    """Whether two expressions have one value, at most `slack` apart, or two equations differ by a constant factor.

    Raises TooComplexError or UnreadableError of the answer.
    """
    for text in answer:
        _refuse_complex(text)
    answers = [_read(text) for text in answer]
    try:
        golds = [_read(text) for text in gold]
    except UnreadableError:
        return False
    if len(gold) != len(answer):
        return False
    expressions = [_is_expression(item) for item in (*golds, *answers)]
    if not all(expressions):
        return len(gold) == 1 and not any(expressions) and _math_verify(golds[0], answers[0])
    if len(gold) == 1:
        return _agree(golds[0], answers[0], slack)
    return _proportional(golds[0] - golds[1], answers[0] - answers[1])


def _refuse_complex(text: str) -> None:
    depth = deepest = 0
    for mark in re.findall(r"[()\[\]]", text):
        depth += 1 if mark in "([" else -1
        deepest = max(deepest, depth)
    if len(text) > LONGEST or deepest > _DEEPEST_BRACKETS or text.count("{") > 60 or _HUGE.search(text):
        raise TooComplexError


def _read(latex: str) -> Any:
    """The sympy object of tidy LaTeX, unevaluated. Raises UnreadableError, TooComplexError."""
    from latex2sympy2_extended import latex2sympy
    from latex2sympy2_extended.latex2sympy2 import ConversionConfig
    from sympy import Basic, I, MatrixBase, Symbol
    from sympy.core.function import AppliedUndef

    if not latex.strip() or _MISREAD.search(latex):
        raise UnreadableError
    text = _MIXED.sub(r"\1+", latex) if _MIXED.match(latex) else latex
    text = _EXPONENT.sub(r"\\cdot 10^{\1}", text)  # 2e3 is 2 \cdot 10^{3}; the parser takes e for Euler's number
    text = _FACTOR.sub(r"\1\\cdot ", text)
    text = _DECIMAL.sub(lambda m: rf"\frac{{{m[1] + m[2]}}}{{1{'0' * len(m[2])}}}", text)
    config = ConversionConfig(
        interpret_as_mixed_fractions=False, interpret_contains_as_eq=False, lowercase_symbols=False
    )
    try:
        expression = latex2sympy(text, conversion_config=config)
    except MemoryError:
        raise  # the worker's limit, not the model's fault
    except Exception as fault:  # the parser raises bare Exception, AttributeError and more
        raise UnreadableError from fault
    if not isinstance(expression, Basic | MatrixBase):
        raise UnreadableError
    if _is_expression(expression):
        if _bits(expression) > _LARGEST_BITS:
            raise TooComplexError
        expression = expression.doit().subs(Symbol("i"), I)
        expression = expression.replace(lambda part: isinstance(part, AppliedUndef), lambda part: Symbol(str(part)))
    return expression


def _is_expression(thing: object) -> bool:
    from sympy import Expr

    return isinstance(thing, Expr)


def _bits(expression: Any) -> float:
    """Upper bound on log2 of every number met when the expression is evaluated at the test points."""
    inner = [_bits(part) for part in expression.args]
    name = expression.func.__name__
    if expression.is_Rational:
        return max(1.0, math.log2(max(abs(expression.p), expression.q) + 1))
    if name in ("Pow", "exp"):
        return max(1.5, inner[0] if name == "Pow" else 0.0) * _size(expression.args[-1], inner[-1])
    if name in ("factorial", "binomial", "gamma"):
        return max(inner) * max(_size(*pair) for pair in zip(expression.args, inner, strict=True))
    if name in ("Sum", "Product", "Integral", "Limit", "Derivative"):
        return math.inf
    return sum(inner) if name == "Mul" else max(inner, default=4.0) + len(inner)


def _size(expression: Any, bits: float) -> float:
    return float(abs(int(expression))) if expression.is_Integer and bits < 60 else math.exp2(min(bits, 60.0))


def _agree(gold: Any, answer: Any, slack: Fraction) -> bool:
    """Equal, or at most `slack` apart, at every test point where either has a value, and there are such points."""
    digits, compared = _digits(gold, answer), 0
    if gold.free_symbols or answer.free_symbols:
        slack = _NONE  # a tolerance is for numbers: 1 % of a large one would take in any x
    for place in _places(gold, answer):
        left, right = _value(gold, place, digits), _value(answer, place, digits)
        if left is None and right is None:
            continue
        if left is None or right is None or not (_close(left, right, digits, 1) or _within(left, right, slack)):
            return False
        compared += 1
    return compared > 0


def _proportional(gold: Any, answer: Any) -> bool:
    """The ratio has one value at all test points, and it is neither 0 nor infinite."""
    digits, ratios = _digits(gold, answer), []
    if not gold.free_symbols or not answer.free_symbols:
        return False
    for place in _places(gold, answer):
        left, right = _value(gold, place, digits), _value(answer, place, digits)
        if left and right:
            ratios.append(left / right)
    return len(ratios) > 1 and all(_close(ratio, ratios[0], digits, at_least=0) for ratio in ratios)


def _digits(*expressions: Any) -> int:
    """Decimal digits that tell n from n + 1 for every number in the expressions, and 60 more."""
    return 60 + int(max(map(_bits, expressions)) * math.log10(2))


def _places(*expressions: Any) -> Iterator[Mapping[Any, Any]]:
    """Values for all symbols: sets of distinct rationals of both signs, or one empty set without symbols."""
    from sympy import Mod, Rational, ceiling, floor

    symbols = sorted(set().union(*(item.free_symbols for item in expressions)), key=str)
    all_points = _POINTS + (_STEPS if any(item.has(floor, ceiling, Mod) for item in expressions) else ())
    for shift in range(len(all_points) if symbols else 1):
        points = [all_points[(shift + i) % len(all_points)] for i in range(len(symbols))]
        yield {
            symbol: Rational(top, bottom) + i
            for i, (symbol, (top, bottom)) in enumerate(zip(symbols, points, strict=True))
        }


def _value(expression: Any, place: Mapping[Any, Any], digits: int) -> Any | None:
    """The value at a test point, exact where rational, else complex to so many digits; None where there is none."""
    try:
        value = expression.subs(place)
        value = value if value.is_Rational else value.evalf(digits)
    except (ArithmeticError, ValueError, TypeError, AttributeError, NotImplementedError, RecursionError):
        return None
    return value if value.is_number and value.is_finite else None


def _close(left: Any, right: Any, digits: int, at_least: int) -> bool:
    """Equal, exactly for rationals, else to all but 20 of the digits, relative to |left| or `at_least`."""
    from sympy import Float

    if left.is_Rational and right.is_Rational:
        return bool(left == right)
    tolerance = Float(10, digits) ** (20 - digits)
    return bool(abs(left - right).evalf(digits) <= tolerance * max(at_least, abs(left).evalf(digits)))


def _within(left: Any, right: Any, slack: Fraction) -> bool:
    from sympy import Rational

    return slack > 0 and bool(abs(left - right) <= Rational(slack.numerator, slack.denominator))


def _math_verify(gold: Any, answer: Any) -> bool:
    """math-verify's own comparison, for relations, sets and matrices; the worker's limit stands in for its alarm."""
    from math_verify import verify

    logging.getLogger("math_verify").setLevel(logging.ERROR)  # it warns that its own time limit is off; ours holds

    return bool(verify(gold, answer, timeout_seconds=None))
