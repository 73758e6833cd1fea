import random
import tracemalloc

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlvr_harness.parts.keys import KeySet

KEYS = st.lists(st.tuples(st.sampled_from(["a", "b", "a/b", ""]), st.integers(0, 9000) | st.just(2**31 - 1)))


@given(KEYS, KEYS)
def test_it_behaves_like_a_set_of_pairs(first, second):
    keys, plain = KeySet(first), set(first)
    assert keys == plain and len(keys) == len(plain) and sorted(keys) == sorted(plain)
    assert all((key in keys) == (key in plain) for key in [*first, *second])
    assert KeySet(first) - KeySet(second) == plain - set(second)
    assert KeySet(first) | KeySet(second) == plain | set(second)


@given(st.lists(KEYS, max_size=4))
def test_columns_are_added_as_single_pairs_are_and_the_first_of_each_is_told(batches):
    keys, plain = KeySet(), set()
    for batch in batches:
        expected = [key not in plain and key not in batch[:place] for place, key in enumerate(batch)]
        names, indices = columns(batch)
        assert keys.add_columns(names, indices).tolist() == expected
        assert keys.holds_columns(names, indices).all()
        plain |= set(batch)
        assert keys == plain


def columns(keys):
    return pa.array([key[0] for key in keys], pa.string()), pa.array([key[1] for key in keys], pa.int32())


@given(KEYS, KEYS)
def test_what_is_held_is_told_for_columns(held, asked):
    assert KeySet(held).holds_columns(*columns(asked)).tolist() == [key in set(held) for key in asked]


@pytest.mark.parametrize("other", [None, "p", ("p",), ("p", 1, 2), 3])
def test_what_is_no_pair_is_not_in_it(other):
    assert other not in KeySet([("p", 1)])


def test_a_hundred_thousand_samples_take_less_than_a_byte_each():
    keys = KeySet()
    indices = pa.array(range(1000), pa.int32())
    tracemalloc.start()
    for problem in range(100):
        keys.add_columns(pa.array([f"problem {problem}"] * 1000), indices)
    size = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert len(keys) == 100_000
    assert size < 100_000


@pytest.mark.parametrize("rows_of_a_problem", [1, 70, 200])
def test_scattered_and_gathered_columns_give_the_same(rows_of_a_problem):
    rng = random.Random(rows_of_a_problem)
    pairs = [(f"p{rng.randrange(-(-400 // rows_of_a_problem))}", rng.randrange(300)) for _ in range(400)]
    keys = KeySet()
    expected = [pair not in pairs[:place] for place, pair in enumerate(pairs)]
    assert keys.add_columns(*columns(pairs)).tolist() == expected
    assert keys == set(pairs)
    assert keys.holds_columns(*columns([*pairs, ("p0", 5000)])).tolist() == [True] * 400 + [False]
