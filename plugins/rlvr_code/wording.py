"""What the code tasks share: the words around a problem, and where a verifier then looks for the program."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from rlvr_code.programs import CONTINUATION, PROGRAM, TAGS
from rlvr_harness import Documents, LoadedTask, PromptRequest, TaskError, packaged_task


def load_worded(name: str, request: PromptRequest, documents: Documents, usual_policy: str) -> LoadedTask:
    """The problems of a packaged task, with the answer policy that goes with their prompts.

    Raises TaskError for solved examples, and for a profile that asks for anything but a program.
    """
    profile = request.profile
    worded = profile is not None and profile.before is not None
    if request.num_fewshot:
        raise TaskError(f"task '{name}' has no solved examples; leave out --num_fewshot")
    if profile is not None and worded and profile.answer_policy not in (PROGRAM, TAGS):
        raise TaskError(
            f"task '{name}' asks for a program, --prompt {profile.name} for another answer; "
            "take code-r1, deepcoder, r1 or chat, or leave it out"
        )
    task = packaged_task(name)
    policy = usual_policy
    if profile is not None and worded:
        policy = profile.answer_policy
    elif request.chat_renderer is not None:
        policy = PROGRAM
        task = replace(task, file=replace(task.file, config=_instruct(task.file.config)))
    loaded = task.load(request, documents)
    problems = [replace(one, metadata={**one.metadata, "answer_policy": policy}) for one in loaded.problems]
    return replace(loaded, problems=problems)


def _instruct(config: Mapping[str, Any]) -> dict[str, Any]:
    """The prompt for a chat: an instruction where the task's own prompt is code to go on from."""
    return {**config, "doc_to_text": config["metadata"].get("instruct", config["doc_to_text"])}


__all__ = ["CONTINUATION", "PROGRAM", "load_worded"]
