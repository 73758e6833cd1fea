"""The algorithms of the `trl` backend: advantage, loss and clipping of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any


@dataclass(frozen=True)
class Algorithm:
    """`advantage`: a function of `advantages`. `loss`: TRL's loss_type, which says how token losses are averaged.

    `clip`: how far the policy ratio may fall and rise. `settings`: further fields of TRL's GRPOConfig.
    """

    advantage: str
    loss: str
    source: str
    clip: tuple[float, float] = (0.2, 0.2)
    resamples: bool = False
    settings: Mapping[str, Any] = field(default_factory=dict)


SUPERVISED = "sft"
# `dapo` as a loss is the mean over all tokens of the batch, which OpenRLHF and verl use for these five, too.
ALGORITHMS: Mapping[str, Algorithm] = MappingProxyType(
    {
        "grpo": Algorithm("group_normalised", "grpo", "Shao et al. 2024, arXiv:2402.03300"),
        "dr_grpo": Algorithm("group_centred", "dr_grpo", "Liu et al. 2025, arXiv:2503.20783"),
        "dapo": Algorithm(
            "group_normalised", "dapo", "Yu et al. 2025, arXiv:2503.14476", (0.2, 0.28), resamples=True,
            settings={"mask_truncated_completions": True},
        ),
        "rloo": Algorithm("leave_one_out", "dapo", "Ahmadian et al. 2024, arXiv:2402.14740"),
        "reinforce++": Algorithm("batch_normalised", "dapo", "Hu 2025, arXiv:2501.03262"),
        "reinforce++-baseline": Algorithm("group_then_batch", "dapo", "Hu 2025, arXiv:2501.03262"),
        "remax": Algorithm("greedy_baseline", "dapo", "Li et al. 2023, arXiv:2310.10505"),
        "gspo": Algorithm(
            "group_normalised", "grpo", "Zheng et al. 2025, arXiv:2507.18071", (3e-4, 4e-4),
            settings={"importance_sampling_level": "sequence"},
        ),
    }
)  # fmt: skip
NAMES = (*ALGORITHMS, SUPERVISED)
