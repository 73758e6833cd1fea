"""`export --format hub --push`: evaluation results into a model's repository on the Hub, after they were shown."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rlvr_harness.errors import HarnessError, UsageError, first_line
from rlvr_harness.exporting import Export
from rlvr_harness.run_store import escape

REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", re.ASCII)
TOKEN = "HF_TOKEN"
EVALUATIONS = ".eval_results"


@dataclass(frozen=True)
class Push:
    """Which model's results go to which repository; `really`: upload, else only say what would be."""

    role: str
    repository: str
    really: bool = False
    pull_request: bool = False


def parse_push(given: str, really: bool, pull_request: bool) -> Push:
    """OWNER/NAME, or ROLE=OWNER/NAME for another model than `model`. Raises UsageError."""
    role, equals, repository = given.rpartition("=")
    if not REPOSITORY.fullmatch(repository):
        raise UsageError(f"--push {given}: give a repository of the Hub as OWNER/NAME, or ROLE=OWNER/NAME")
    return Push(role if equals else "model", repository, really, pull_request)


def push_results(export: Export, written: Sequence[Path], push: Push) -> Iterator[str]:
    """Lines on what is uploaded, and where to; without `really` nothing is. Raises UsageError, HarnessError."""
    if push.role not in export.roles:
        raise UsageError(f"--push: the run has no model '{push.role}'; it has {', '.join(export.roles)}")
    folder = export.target / escape(push.role)
    files = {path.relative_to(folder).as_posix(): path for path in written if path.parent == folder / EVALUATIONS}
    token = os.environ.get(TOKEN)
    if push.really and not token:
        raise UsageError(f"--push needs a token that may write to {push.repository}, in the variable {TOKEN}")
    for name, path in files.items():
        does = "upload" if push.really else "would upload"
        yield f"{does} {name} ({path.stat().st_size:,} bytes) to {push.repository}"
    if not push.really:
        yield "nothing was uploaded: add --yes to do it, and --pull_request where the model is another's"
        return
    yield f"pushed: {_upload(push, files, token or '')}"


def _upload(push: Push, files: dict[str, Path], token: str) -> str:
    from huggingface_hub import CommitOperationAdd, HfApi

    operations = [CommitOperationAdd(path_in_repo=name, path_or_fileobj=path) for name, path in files.items()]
    try:
        commit = HfApi(token=token).create_commit(
            push.repository,
            operations,
            commit_message="Add evaluation results by rlvr-harness",
            create_pr=push.pull_request,
        )
    except Exception as error:
        fault = first_line(error).replace(token, "***")
        raise HarnessError(
            f"--push {push.repository}: the Hub takes no upload: {type(error).__name__}: {fault}; "
            f"check the name, the network and the rights of {TOKEN}"
        ) from error
    return str(commit.pr_url or commit.commit_url)
