"""Advantages from rewards. A reward that could not be had is NaN: left out of all statistics, with advantage 0.

`rewards` are one row per completion, the `size` completions of a prompt next to one another.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import torch

EPSILON = 1e-4
"""Added to a standard deviation, as GRPO's implementations do: equal rewards give 0, not a division by 0."""


@dataclass(frozen=True)
class Rollouts:
    """What an advantage may depend on.

    `tokens`: of each completion, those that count. `greedy`: the reward of its prompt's greedy completion.
    """

    rewards: torch.Tensor
    size: int
    tokens: torch.Tensor
    greedy: torch.Tensor | None = None


def group_normalised(given: Rollouts) -> torch.Tensor:
    """(r - mean) / standard deviation (of n - 1) among the completions of the prompt: GRPO."""
    groups = given.rewards.view(-1, given.size)
    centred = groups - groups.nanmean(dim=1, keepdim=True)
    count = (~groups.isnan()).sum(dim=1, keepdim=True)
    spread = (centred.square().nansum(dim=1, keepdim=True) / (count - 1).clamp(min=1)).sqrt()
    return _without_void((centred / (spread + EPSILON)).view(-1))


def group_centred(given: Rollouts) -> torch.Tensor:
    """r - mean among the completions of the prompt: Dr. GRPO."""
    groups = given.rewards.view(-1, given.size)
    return _without_void((groups - groups.nanmean(dim=1, keepdim=True)).view(-1))


def leave_one_out(given: Rollouts) -> torch.Tensor:
    """r - mean of the prompt's other completions: RLOO. 0 where there is no other one."""
    groups = given.rewards.view(-1, given.size)
    others = (~groups.isnan()).sum(dim=1, keepdim=True) - 1
    mean = (groups.nansum(dim=1, keepdim=True) - groups) / others.clamp(min=1)
    return _without_void(torch.where(others > 0, groups - mean, torch.zeros_like(groups)).view(-1))


def batch_normalised(given: Rollouts) -> torch.Tensor:
    """(r - mean) / standard deviation over all tokens of the batch: REINFORCE++."""
    return _whitened(given.rewards, given.tokens)


def group_then_batch(given: Rollouts) -> torch.Tensor:
    """r - mean of the prompt's completions, then normalised over all tokens of the batch: REINFORCE++-baseline."""
    groups = given.rewards.view(-1, given.size)
    return _whitened((groups - groups.nanmean(dim=1, keepdim=True)).view(-1), given.tokens)


def greedy_baseline(given: Rollouts) -> torch.Tensor:
    """r - reward of the prompt's greedy completion: ReMax. 0 where the greedy one has no reward."""
    assert given.greedy is not None
    return _without_void(given.rewards - given.greedy)


def _whitened(values: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
    """Each completion counts by its tokens, since the advantage stands at each of them."""
    weights = torch.where(values.isnan(), torch.zeros_like(values), tokens.to(values.dtype))
    known = values.nan_to_num(nan=0.0)
    total = weights.sum().clamp(min=1.0)
    mean = (weights * known).sum() / total
    spread = ((weights * (known - mean).square()).sum() / total).sqrt()
    return _without_void((values - mean) / (spread + EPSILON))


def _without_void(advantages: torch.Tensor) -> torch.Tensor:
    return advantages.nan_to_num(nan=0.0)


ADVANTAGES: Mapping[str, Callable[[Rollouts], torch.Tensor]] = MappingProxyType(
    {
        function.__name__: function
        for function in (
            *(group_normalised, group_centred, leave_one_out),
            *(batch_normalised, group_then_batch, greedy_baseline),
        )
    }
)


def flat_groups(rewards: torch.Tensor, size: int) -> list[int]:
    """Numbers of the groups that teach nothing: all their rewards are equal, or fewer than two are known."""
    groups = rewards.view(-1, size)
    return [number for number, group in enumerate(groups) if len(group[~group.isnan()].unique()) < 2]
