"""Prompts as vLLM takes them, pictures included; made once for each problem and kept."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rlvr_harness import CheckpointProfile, ModelError, PictureCheckpoint, Problem, opened_picture

PROMPTS_KEPT = 4096
"""Prompts kept: a plan comes back to every problem of a task several times."""
SHOWN_KEPT = 64
"""Prompts with pictures kept, which take megabytes each."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """What the engine is given, and its length in tokens, those of pictures included."""

    given: Mapping[str, Any]
    length: int


class Prompts:
    """The prompts of one model."""

    def __init__(self, profile: CheckpointProfile) -> None:
        """`profile`: a `PictureCheckpoint` where the model sees pictures."""
        self._profile = profile
        self._plain: OrderedDict[str, Prompt] = OrderedDict()
        self._shown: OrderedDict[tuple[str, tuple[bytes, ...]], Prompt] = OrderedDict()

    def of(self, problem: Problem) -> Prompt:
        """The problem's prompt. Raises ModelError for pictures that the model cannot be shown."""
        if not problem.images:
            if problem.prompt not in self._plain:
                ids = list(self._profile.token_ids(problem.prompt))
                self._plain[problem.prompt] = Prompt({"type": "token", "prompt_token_ids": ids}, len(ids))
                if len(self._plain) > PROMPTS_KEPT:
                    self._plain.popitem(last=False)
            return self._plain[problem.prompt]
        key = (problem.prompt, problem.images)
        if key not in self._shown:
            self._shown[key] = self._with_pictures(problem)
            if len(self._shown) > SHOWN_KEPT:
                self._shown.popitem(last=False)
        return self._shown[key]

    def _with_pictures(self, problem: Problem) -> Prompt:
        """vLLM puts a picture's tokens in the place of the model's words for one, as the model's processor does."""
        profile = self._profile
        if not isinstance(profile, PictureCheckpoint):
            raise ModelError(f"task '{problem.task}', problem {problem.problem_id}: the model sees no pictures")
        given = {
            "prompt_token_ids": list(profile.token_ids(profile.placed(problem.prompt, len(problem.images)))),
            "multi_modal_data": {"image": [opened_picture(image) for image in problem.images]},
            # Names by which vLLM finds a picture in its caches, or it would read all of it for every sample.
            "multi_modal_uuids": {"image": [hashlib.sha256(image).hexdigest() for image in problem.images]},
        }
        return Prompt(given, profile.count_tokens_with(problem.prompt, problem.images))
