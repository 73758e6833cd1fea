"""What the judge has encoded arrives in the child as it was."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given as drawn
from hypothesis import strategies as st

from rlvr_sandbox.jail import given, tagged

LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary()
VALUES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.integers() | st.text(), inner) | st.sets(LEAVES)
    ),
    max_leaves=20,
)


def typed(value):
    """The value with the type of every part beside it; sets in one order."""
    if isinstance(value, dict):
        return dict, [(typed(key), typed(part)) for key, part in value.items()]
    if isinstance(value, set):
        return set, sorted(map(repr, value))
    return type(value), [*map(typed, value)] if isinstance(value, list | tuple) else value


@drawn(VALUES)
def test_any_plain_value_comes_back_with_its_types(value):
    assert typed(given.decode(tagged.encode(value, 1 << 30))) == typed(value)


@pytest.mark.parametrize(
    "value",
    [
        [Decimal("1.50"), Fraction(2, 3), 2 + 3j, range(1, 9, 2), bytearray(b"ab")],
        [frozenset({1, 2}), {"a": [(), [], {}]}, "\ud800", float("inf"), -(1 << 200)],
        [[]],
        [],
    ],
)
def test_rare_values_come_back(value):
    assert given.decode(tagged.encode(value, 1 << 20)) == value


def test_each_reading_is_a_copy_of_its_own():
    data = tagged.encode([[1, 2]], 1 << 10)
    given.decode(data)[0].append(3)
    assert given.decode(data) == [[1, 2]]


@drawn(VALUES)
def test_the_quick_form_holds_the_same_values_and_types(value):
    assert typed(given.decode(given.quick(tagged.encode(value, 1 << 30)))) == typed(value)


def test_plain_arguments_have_a_quick_form_and_sets_and_decimals_keep_theirs():
    plain, others = [1, 2.5, "\ud800", b"a", {"k": (None, True)}], [[{1, 2}], [Decimal("1.50")], [bytearray(b"ab")]]
    data = tagged.encode(plain, 1 << 10)
    assert given.quick(data) != data
    assert given.decode(given.quick(data)) == plain
    assert all(given.quick(data) == data for data in (tagged.encode(value, 1 << 10) for value in others))


def test_one_list_in_two_places_arrives_as_two_lists():
    shared = [1]
    first, second = given.decode(given.quick(tagged.encode([shared, shared], 1 << 10)))
    first.append(2)
    assert second == [1]
