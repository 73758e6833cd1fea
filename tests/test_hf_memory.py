"""Units of the `hf` sampler that do not fit in memory."""

import pytest
import torch

from rlvr_harness import ModelError, SamplingLaw
from rlvr_hf.memory import Fitting, is_out_of_memory

LAW = SamplingLaw(temperature=1.0, top_p=1.0, max_gen_toks=12)


@pytest.fixture
def cramped(open_model, tiny_model):
    """cramped(rows) -> a model whose `generate` runs out of memory above that many rows, and the sizes it was given."""

    def make(rows, error=torch.OutOfMemoryError):
        opened = open_model(tiny_model)
        plain, sizes = opened._generate, []

        def generate(ids, mask, places, options):
            sizes.append(len(places))
            if len(places) > rows:
                raise error("CUDA out of memory. Tried to allocate 2 GiB")
            return plain(ids, mask, places, options)

        opened._generate = generate
        return opened, sizes

    return make


def test_a_unit_that_does_not_fit_gives_the_texts_of_one_that_does(
    open_model, tiny_model, cramped, puzzle, request_for
):
    work = (request_for(puzzle(0), range(7)), request_for(puzzle(2), range(6)))
    whole = open_model(tiny_model).sample(work, LAW)
    for rows in (12, 6, 3, 1):
        opened, _ = cramped(rows)
        found = opened.sample(work, LAW)
        assert [(s.problem_id, s.index, s.text, s.n_tokens) for s in found] == [
            (s.problem_id, s.index, s.text, s.n_tokens) for s in whole
        ]
        assert [s.logprob_sum for s in found] == pytest.approx([s.logprob_sum for s in whole], abs=1e-3)


def test_units_after_a_retreat_begin_at_the_size_that_worked(cramped, puzzle, request_for, caplog):
    opened, sizes = cramped(3)
    opened.sample((request_for(puzzle(0), range(10)),), LAW)
    assert sizes == [10, 5, 3, 3, 3, 1]  # 10 -> 5 -> 3 fits, then the rest of the ten
    sizes.clear()
    opened.sample((request_for(puzzle(1), range(8)),), LAW)
    assert sizes == [3, 3, 2]
    assert [record.getMessage() for record in caplog.records] == [
        "model: 10 samples at once do not fit in memory, going on with 5",
        "model: 5 samples at once do not fit in memory, going on with 3",
    ]


@pytest.mark.parametrize("error", [MemoryError, RuntimeError, torch.OutOfMemoryError])
def test_one_sample_that_does_not_fit_is_an_error_that_says_what_to_do(cramped, puzzle, request_for, error):
    opened, sizes = cramped(0, error)
    with pytest.raises(ModelError, match=r"runs out of memory on a single sample .* lower max_gen_toks"):
        opened.sample((request_for(puzzle(0), range(4)),), LAW)
    assert sizes == [4, 2, 1]


def test_the_allocator_of_the_cpu_is_known_by_its_words():
    with pytest.raises(RuntimeError) as caught:
        torch.empty(1 << 60)
    assert is_out_of_memory(caught.value)
    assert not is_out_of_memory(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))


def test_another_failure_is_not_tried_again():
    def fail(piece):
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    with pytest.raises(RuntimeError, match="shapes"):
        Fitting("model").run(4, fail)
