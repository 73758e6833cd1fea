"""Values cross the wall of the jail as their base content, and no byte string harms the decoder."""

import collections
import contextlib
import enum
import math
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlvr_sandbox.jail.tagged import Caps, Malformed, Opaque, TooLarge, decode, encode

CAPS = Caps(1 << 20)


def there_and_back(value):
    return decode(encode(value, 1 << 20), CAPS)


LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.complex_numbers(allow_nan=False)
    | st.text(st.characters())
    | st.binary()
    | st.fractions(max_denominator=10**9)
    | st.decimals(allow_nan=False, places=3)
)
VALUES = st.recursive(
    LEAVES,
    lambda v: st.lists(v) | st.lists(v).map(tuple) | st.dictionaries(st.text() | st.integers(), v),
    max_leaves=20,
)


@given(VALUES)
def test_a_value_comes_back_equal_and_of_its_type(value):
    back = there_and_back(value)
    assert back == value
    assert type(back) is type(value)


@pytest.mark.parametrize("value", [{1, 2}, frozenset({"a"}), range(3, 10, 2), bytearray(b"x"), 10**4000, "\ud800\0"])
def test_the_rarer_types_come_back_too(value):
    assert there_and_back(value) == value
    assert type(there_and_back(value)) is type(value)


def test_nan_comes_back_as_nan():
    assert math.isnan(there_and_back(float("nan")))


class Liar(list):
    """Says that it is equal to everything, and empty."""

    def __eq__(self, other):
        return True

    __hash__ = None

    def __iter__(self):
        return iter(())

    def __len__(self):
        return 0


Point = collections.namedtuple("Point", "x y")
Colour = enum.IntEnum("Colour", "RED GREEN")


@pytest.mark.parametrize(
    ("value", "base"),
    [
        (Liar([1, 2]), [1, 2]),
        (collections.Counter("aab"), {"a": 2, "b": 1}),
        (collections.defaultdict(list, {1: [2]}), {1: [2]}),
        (Point(1, 2), (1, 2)),
        (Colour.GREEN, 2),
        (np.float64(0.5), 0.5),
        (np.str_("a"), "a"),
    ],
)
def test_a_subclass_arrives_as_its_base_content(value, base):
    back = there_and_back(value)
    assert type(back) is type(base)
    assert back == base


def test_an_array_keeps_dtype_shape_and_values():
    array = np.array([[1, 2], [3, 4]], dtype=">i2")
    back = there_and_back(array)
    assert back.dtype == array.dtype
    assert back.tolist() == [[1, 2], [3, 4]]
    assert there_and_back(np.int64(7)) == 7


@pytest.mark.parametrize("value", [object(), print, iter([]), np.array([object()])])
def test_what_has_no_encoding_equals_nothing_but_is_not_none(value):
    back = there_and_back(value)
    assert isinstance(back, Opaque)
    assert back != back
    assert back is not None


def test_a_cycle_and_a_value_past_the_limit_are_refused():
    cycle = []
    cycle.append(cycle)
    for value in (cycle, 10**300_000, "x" * 2000, [0] * 2000):
        with pytest.raises(TooLarge):
            encode(value, 1000)


@settings(max_examples=500)
@given(st.binary(max_size=60) | st.lists(st.sampled_from(b"NTFifcsbylteDQASorzd\0\1\2\x05"), max_size=60).map(bytes))
def test_any_bytes_decode_or_are_malformed(data):
    with contextlib.suppress(Malformed):
        decode(data, CAPS)


@given(VALUES, st.integers(0, 10_000), st.integers(0, 255))
def test_a_damaged_encoding_decodes_or_is_malformed(value, at, byte):
    data = bytearray(encode(value, 1 << 20))
    data[at % len(data)] = byte
    with contextlib.suppress(Malformed):
        decode(bytes(data), CAPS)


@pytest.mark.parametrize(
    ("data", "caps"),
    [
        (encode([[[1]]], 99), Caps(99, depth=2)),
        (encode([1, 2, 3], 99), Caps(99, nodes=3)),
        (encode(16**9, 99), Caps(99, digits=9)),
        (encode("abc", 99), Caps(7)),
        (encode(1, 99) + b"N", CAPS),
        (b"l\xff\xff\xff\xff", CAPS),
        (encode({n * (2**61 - 1) for n in range(1, 200)}, 1 << 20), CAPS),
    ],
    ids=["depth", "nodes", "digits", "bytes", "trailing", "count", "equal-hashes"],
)
def test_each_cap_holds(data, caps):
    with pytest.raises(Malformed):
        decode(data, caps)


def test_numbers_that_are_dear_to_walk_or_compare_come_back_opaque():
    assert isinstance(there_and_back(range(10**12)), Opaque)
    assert isinstance(there_and_back(Decimal("1e999999")), Opaque)
    assert there_and_back(Fraction(-1, 3)) == Fraction(-1, 3)
