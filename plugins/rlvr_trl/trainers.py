"""TRL's GRPOTrainer with the advantages of other algorithms. Only the runner's process imports this."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from trl import GRPOTrainer  # type: ignore[attr-defined]

from rlvr_trl.advantages import ADVANTAGES, Rollouts, flat_groups
from rlvr_trl.algorithms import Algorithm

LEFT_PADDED = ("prompt_ids", "prompt_mask")


class VerifiedTrainer(GRPOTrainer):
    """Samples, asks the verifier, and puts the algorithm's advantages in the place of TRL's."""

    def __init__(self, algorithm: Algorithm, rounds: int, **given: Any) -> None:
        """`rounds`: how often groups without a lesson are drawn anew, where the algorithm does so."""
        self._algorithm, self._rounds = algorithm, rounds
        self._seen = torch.empty(0)
        self._size = int(given["args"].num_generations)
        self._rows, self._reward = given["train_dataset"], given["reward_funcs"]
        super().__init__(**given)

    def _calculate_rewards(self, inputs: Any, prompts: Any, completions: Any, completion_ids_list: Any) -> torch.Tensor:
        gathered: torch.Tensor = super()._calculate_rewards(inputs, prompts, completions, completion_ids_list)
        self._seen = gathered[:, 0]
        self._metrics["train"]["void"].append(self._seen.isnan().float().sum().item())
        return gathered

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        output: dict[str, Any] = super()._generate_and_score_completions(inputs)
        rewards = self._seen
        if self._algorithm.resamples and self.accelerator.num_processes == 1:
            output, rewards = self._drawn_anew(output, rewards)
        tokens = self.accelerator.gather(output["completion_mask"].sum(dim=1))
        greedy = self._greedy_rewards(inputs) if self._algorithm.advantage == "greedy_baseline" else None
        given = Rollouts(rewards, self._size, tokens, greedy)
        advantages = ADVANTAGES[self._algorithm.advantage](given)
        start = self.accelerator.process_index * len(inputs)
        output["advantages"] = advantages[start : start + len(inputs)]
        return output

    def _drawn_anew(self, output: dict[str, Any], rewards: torch.Tensor) -> tuple[dict[str, Any], torch.Tensor]:
        """Groups of equal rewards replaced by groups of other prompts, by torch's generator; DAPO, section 3.2."""
        size, drawn = self._size, 0
        for _ in range(self._rounds):
            flat = flat_groups(rewards, size)
            if not flat:
                break
            chosen = torch.randint(len(self._rows), (len(flat),)).tolist()
            fresh = [dict(self._rows[row]) for row in chosen for _ in range(size)]
            found = super()._generate_and_score_completions(fresh)
            places = torch.tensor([group * size + place for group in flat for place in range(size)])
            output = replace_rows(output, found, places.to(rewards.device), self._tokenizer.pad_token_id)
            rewards = rewards.index_copy(0, places.to(rewards.device), self._seen)
            drawn += len(flat)
        self._metrics["train"]["resampled_groups"].append(float(drawn))
        return output, rewards

    def _greedy_rewards(self, inputs: Sequence[Mapping[str, Any]]) -> torch.Tensor:
        """For each completion the reward of the greedy completion of its prompt, of all processes."""
        labels = list(dict.fromkeys(row["label"] for row in inputs))
        prompts = {row["label"]: row["prompt"] for row in inputs}
        prompt_ids, images, fields = self._tokenize_prompts([prompts[label] for label in labels])
        sampling = self.generation_config, self.generation_kwargs
        greedy = {**sampling[1], "do_sample": False}
        for name in ("temperature", "top_p", "top_k", "min_p"):
            greedy.pop(name, None)
        self.generation_config = copy.deepcopy(sampling[0])
        self.generation_config.update(do_sample=False, temperature=None, top_p=None, top_k=None, min_p=None)
        self.generation_kwargs = greedy
        try:
            ids, _ = self._generate_single_turn(prompt_ids, images, fields, 1)
        finally:
            self.generation_config, self.generation_kwargs = sampling
        texts = self._tokenizer.batch_decode(ids, skip_special_tokens=True)
        values = self._reward(completions=texts, label=labels)
        known = {label: torch.nan if value is None else value for label, value in zip(labels, values, strict=True)}
        local = torch.tensor([known[row["label"]] for row in inputs], device=self.accelerator.device)
        gathered: torch.Tensor = self.accelerator.gather(local)
        return gathered


def replace_rows(
    old: Mapping[str, Any], new: Mapping[str, Any], places: torch.Tensor, pad_token_id: int
) -> dict[str, Any]:
    """A batch of TRL's with the rows at `places` taken from another one, both padded to the same widths."""
    merged: dict[str, Any] = {}
    rows = old["completion_ids"].size(0)
    for name, value in old.items():
        if not isinstance(value, torch.Tensor) or value.dim() == 0 or value.size(0) != rows:
            merged[name] = value
            continue
        other = new[name]
        if value.dim() == 2:
            width, filler = max(value.size(1), other.size(1)), pad_token_id if name.endswith("_ids") else 0
            value, other = (_widened(one, width, filler, name in LEFT_PADDED) for one in (value, other))
        merged[name] = value.index_copy(0, places, other.to(value.dtype))
    merged["num_items_in_batch"] = merged["completion_mask"].sum()
    return merged


def _widened(rows: torch.Tensor, width: int, filler: int, left: bool) -> torch.Tensor:
    more = width - rows.size(1)
    return torch.nn.functional.pad(rows, (more, 0) if left else (0, more), value=filler)
