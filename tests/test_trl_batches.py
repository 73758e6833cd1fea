"""Batches of the `trl` backend: rows exchanged, and how completions are split into passes."""

import importlib.util

import pytest

if importlib.util.find_spec("trl") is None:
    pytest.skip("TRL is not installed", allow_module_level=True)

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]  # loading TRL takes long, and it warns


def batch(prompt_ids, completion_ids, mask):
    import torch

    return {
        "prompt_ids": torch.tensor(prompt_ids),
        "prompt_mask": torch.tensor(prompt_ids).ne(0).int(),
        "completion_ids": torch.tensor(completion_ids),
        "completion_mask": torch.tensor(mask),
        "advantages": torch.zeros(len(prompt_ids)),
        "num_items_in_batch": torch.tensor(mask).sum(),
    }


def test_rows_drawn_anew_take_the_place_of_old_ones_padded_to_one_width():
    import torch

    from rlvr_trl.trainers import replace_rows

    old = batch([[5], [6]], [[1, 2, 3], [4, 9, 9]], [[1, 1, 1], [1, 0, 0]])
    new = batch([[7, 8]], [[2, 2]], [[1, 1]])
    merged = replace_rows(old, new, torch.tensor([1]), pad_token_id=9)
    # prompts are padded in front, completions behind
    assert merged["prompt_ids"].tolist() == [[9, 5], [7, 8]]
    assert merged["prompt_mask"].tolist() == [[0, 1], [1, 1]]
    assert merged["completion_ids"].tolist() == [[1, 2, 3], [2, 2, 9]]
    assert merged["completion_mask"].tolist() == [[1, 1, 1], [1, 1, 0]]
    assert merged["num_items_in_batch"].item() == 5


@pytest.mark.parametrize(
    ("rollouts", "place", "asked", "shape"),
    [
        (32, (False, 1, 0), None, (32, 1)),
        (32, (True, 1, 0), None, (8, 4)),
        (48, (True, 2, 0), None, (8, 3)),
        (30, (True, 1, 0), None, (6, 5)),
        (32, (False, 1, 0), 5, (4, 8)),
    ],
    ids=str,
)
def test_the_passes_of_a_step_hold_all_its_completions(rollouts, place, asked, shape):
    from rlvr_trl.runner import Place, batch_shape

    assert batch_shape(rollouts, Place(*place), asked) == shape
