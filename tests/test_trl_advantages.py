"""Advantages of the `trl` backend's algorithms, worked out by hand; NaN is a completion without verdict."""

import math

import pytest

torch = pytest.importorskip("torch")

from rlvr_trl.advantages import (  # noqa: E402
    ADVANTAGES,
    EPSILON,
    Rollouts,
    batch_normalised,
    flat_groups,
    greedy_baseline,
    group_centred,
    group_normalised,
    group_then_batch,
    leave_one_out,
)
from rlvr_trl.algorithms import ALGORITHMS  # noqa: E402

VOID = math.nan


def rollouts(*groups, tokens=None, greedy=None):
    rewards = torch.tensor([reward for group in groups for reward in group])
    counted = torch.tensor(tokens or [1] * len(rewards))
    return Rollouts(rewards, len(groups[0]), counted, None if greedy is None else torch.tensor(greedy))


def close(found, wanted):
    assert found.tolist() == pytest.approx(wanted, abs=1e-6)


def test_grpo_divides_by_the_spread_of_the_prompts_completions():
    # mean 1/4, squares 9/16 + 3/16 = 3/4, over n - 1 = 3: spread 1/2
    spread = 0.5 + EPSILON
    close(group_normalised(rollouts((1.0, 0.0, 0.0, 0.0))), [0.75 / spread, *[-0.25 / spread] * 3])


def test_dr_grpo_only_subtracts_the_mean():
    close(
        group_centred(rollouts((1.0, 0.0, 0.0, 0.0), (1.0, 1.0, 0.0, 0.0))),
        [0.75, -0.25, -0.25, -0.25, *[0.5] * 2, *[-0.5] * 2],
    )


def test_rloo_subtracts_the_mean_of_the_others():
    # the right one: 1 - 0/3; each wrong one: 0 - 1/3
    close(leave_one_out(rollouts((1.0, 0.0, 0.0, 0.0))), [1.0, -1 / 3, -1 / 3, -1 / 3])


def test_reinforce_plus_plus_normalises_over_the_tokens_of_the_batch():
    # tokens 3, 1: mean 3/4, variance (3 * (1/4)^2 + (3/4)^2) / 4 = 3/16
    spread = math.sqrt(3 / 16) + EPSILON
    close(batch_normalised(rollouts((1.0, 0.0), tokens=[3, 1])), [0.25 / spread, -0.75 / spread])


def test_reinforce_plus_plus_baseline_subtracts_the_prompts_mean_first():
    # (1, 0) -> 1/2, -1/2 and (1, 1) -> 0, 0: mean 0, variance (1/4 + 1/4) / 4 = 1/8
    spread = math.sqrt(1 / 8) + EPSILON
    close(group_then_batch(rollouts((1.0, 0.0), (1.0, 1.0))), [0.5 / spread, -0.5 / spread, 0.0, 0.0])


def test_remax_subtracts_the_reward_of_the_greedy_completion():
    given = rollouts((1.0, 0.0), (1.0, 0.0), greedy=[1.0, 1.0, 0.0, 0.0])
    close(greedy_baseline(given), [0.0, -1.0, 1.0, 0.0])


def test_remax_learns_nothing_where_the_greedy_completion_has_no_verdict():
    close(greedy_baseline(rollouts((1.0, 0.0), greedy=[VOID, VOID])), [0.0, 0.0])


@pytest.mark.parametrize(
    ("function", "wanted"),
    [
        # known: 1, 0, 0 with mean 1/3 and squares 4/9 + 1/9 + 1/9 = 2/3, over 2: spread sqrt(1/3)
        (group_normalised, [2 / 3 / (math.sqrt(1 / 3) + EPSILON), *[-1 / 3 / (math.sqrt(1 / 3) + EPSILON)] * 2, 0.0]),
        (group_centred, [2 / 3, -1 / 3, -1 / 3, 0.0]),
        (leave_one_out, [1.0, -0.5, -0.5, 0.0]),
        # variance over the three known: 2/9
        (batch_normalised, [2 / 3 / (math.sqrt(2 / 9) + EPSILON), *[-1 / 3 / (math.sqrt(2 / 9) + EPSILON)] * 2, 0.0]),
        (group_then_batch, [2 / 3 / (math.sqrt(2 / 9) + EPSILON), *[-1 / 3 / (math.sqrt(2 / 9) + EPSILON)] * 2, 0.0]),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_completion_without_verdict_is_in_no_statistic_and_has_advantage_0(function, wanted):
    close(function(rollouts((1.0, 0.0, 0.0, VOID))), wanted)


@pytest.mark.parametrize("name", sorted(ADVANTAGES))
@pytest.mark.parametrize("group", [(1.0, 1.0, 1.0), (0.0, 0.0, 0.0), (VOID, VOID, VOID), (1.0, VOID, VOID)], ids=str)
def test_equal_or_missing_rewards_teach_nothing(name, group):
    # one known reward of three has nothing to be compared with, in the group or in the batch
    greedy = [group[0]] * 3
    close(ADVANTAGES[name](rollouts(group, greedy=greedy)), [0.0, 0.0, 0.0])


def test_groups_to_draw_anew_are_those_with_fewer_than_two_different_rewards():
    given = torch.tensor([1.0, 1.0, 1.0, 0.0, VOID, VOID, 1.0, VOID])
    assert flat_groups(given, 2) == [0, 2, 3]


def test_every_algorithm_names_an_advantage_that_there_is():
    assert {algorithm.advantage for algorithm in ALGORITHMS.values()} == set(ADVANTAGES)


def test_dapo_clips_higher_and_gspo_clips_sequences():
    assert ALGORITHMS["dapo"].clip == (0.2, 0.28)
    assert ALGORITHMS["dapo"].settings["mask_truncated_completions"]
    assert ALGORITHMS["gspo"].settings["importance_sampling_level"] == "sequence"
