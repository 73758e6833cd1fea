"""What `generate` is given of a prompt with pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rlvr_harness import PictureCheckpoint, Problem

if TYPE_CHECKING:
    import torch


class PicturePrompts:
    """Makes of a prompt and its pictures what the model is given."""

    def __init__(self, checkpoint: PictureCheckpoint) -> None:
        """`checkpoint`: the model's profile."""
        self._checkpoint = checkpoint

    def rows(self, model: Any, problem: Problem, count: int) -> dict[str, torch.Tensor]:
        """The problem's prompt and pictures, `count` times over, on the model's device."""
        if len(problem.images) == 1:
            encoded = self._checkpoint.encode(problem.prompt, problem.images)
            ids = encoded.pop("input_ids")
            # The model's own way to repeat a prompt: pictures of some are stored flat, without a dimension of prompts.
            ids, rest = model._expand_inputs_for_generation(expand_size=count, input_ids=ids, **encoded)
            encoded = {"input_ids": ids, **rest}
        else:
            encoded = self._checkpoint.encode(problem.prompt, problem.images, count)
        found: dict[str, torch.Tensor] = {}
        for name, tensor in encoded.items():
            moved = tensor.to(model.device)
            found[name] = moved.to(model.dtype) if moved.is_floating_point() else moved
        return found
