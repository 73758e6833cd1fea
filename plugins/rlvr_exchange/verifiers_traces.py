"""The `verifiers` importer: `results.jsonl` (one rollout a line) or `traces.jsonl` (one episode a line)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rlvr_exchange.deciding import SampleFormat, one_file, one_of, outcome_of, text_of
from rlvr_exchange.lines import Row, first_row, is_jsonl, read_object, read_rows, shown
from rlvr_harness import FinishReason, ForeignChoice, ForeignRow, ForeignSample, Outcome, TaskError

FILE_NAMES = ("results.jsonl", "traces.jsonl")
ENDS = {"stop": FinishReason.STOP, "length": FinishReason.LENGTH}
REWARD = "reward"


class VerifiersRollouts(SampleFormat):
    """Rollouts with their reward."""

    name = "verifiers"
    description = "results.jsonl or traces.jsonl of verifiers, or their folder; --metric NAME of a reward or metric"

    def recognises(self, path: Path) -> bool:
        """By the fields of the first row."""
        files = _files(path)
        row = first_row(files[0]) if files else {}
        return {"example_id", "completion", REWARD} <= set(row) or bool(_traces(row))

    def tasks(self, path: Path) -> Sequence[str]:
        """The environment, as metadata.json or the first row names it."""
        return list(_by_task(path)) if self.recognises(path) else []

    def rows(self, path: Path, choice: ForeignChoice) -> Iterator[ForeignRow]:
        """One ForeignRow per rollout."""
        found = _by_task(path)
        if not found:
            raise TaskError(f"{path} holds no results.jsonl or traces.jsonl of verifiers")
        file = one_file(found, choice.task if choice.task in found else None, path)
        empty = True
        for row in read_rows(file):
            empty = False
            traces = _traces(row.content)
            if not traces and "example_id" not in row.content:
                raise TaskError(f"{row.where}: no 'example_id' and no trace; expected a rollout of verifiers")
            for trace in traces:
                yield _traced(Row(row.where, trace), choice)
            if not traces:
                yield _rollout(row, choice)
        if empty:
            raise TaskError(f"{file} holds no rollouts")


def _files(path: Path) -> list[Path]:
    if path.is_dir():
        return sorted(file for name in FILE_NAMES for file in path.rglob(name))
    return [path] if is_jsonl(path) else []


def _by_task(path: Path) -> dict[str, list[Path]]:
    found: dict[str, list[Path]] = {}
    for file in _files(path):
        found.setdefault(_task(file), []).append(file)
    return {task: files for task, files in found.items() if task or len(found) == 1}


def _task(file: Path) -> str:
    named = read_object(file.parent / "metadata.json").get("env_id")
    row = first_row(file)
    env = row.get("env")
    named = named or (env.get("id") if isinstance(env, dict) else None) or row.get("env_id")
    return str(named).rpartition("/")[2] if named else ""


def _traces(content: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """The traces that train or test the policy: of an episode, or the row itself; judges' own traces are left out."""
    listed = content.get("traces")
    if isinstance(listed, list):
        traces = [trace for trace in listed if isinstance(trace, dict) and "nodes" in trace]
        trained = [trace for trace in traces if (trace.get("agent") or {}).get("trainable", True)]
        return trained
    return [content] if "nodes" in content and "task" in content else []


def _rollout(row: Row, choice: ForeignChoice) -> ForeignRow:
    content = row.content
    answer = content.get("answer")
    text = _messages(content.get("completion"))
    cut = content.get("is_truncated")
    end = None if cut is None else FinishReason.LENGTH if cut else FinishReason.STOP
    usage = content.get("token_usage") or {}
    tokens = usage.get("output_tokens")
    named = {REWARD: content.get(REWARD), **(content.get("metrics") or {})}
    metric = one_of(choice.metric or REWARD, list(named), row.where, "reward")
    sample = _judged(row.where, text, named[metric], (metric, choice.threshold), bool(content.get("error")))
    return ForeignRow(
        row.where,
        str(row.need("example_id", int, str)),
        [_ended(sample, end, int(tokens) if isinstance(tokens, int | float) else None)],
        prompt=_messages(content.get("prompt")),
        reference=None if answer in (None, "") else str(answer),
        metadata=content["info"] if isinstance(content.get("info"), dict) else {},
        judge=metric,
    )


def _traced(row: Row, choice: ForeignChoice) -> ForeignRow:
    content = row.content
    task = row.need("task", dict)
    data = task.get("data") or {}
    named = _rewards(content)
    metric = one_of(choice.metric or REWARD, list(named), row.where, "reward")
    failed = bool(content.get("errors")) and not content.get("ok", False)
    sample = _judged(row.where, _sampled(content), named[metric], (metric, choice.threshold), failed)
    calls = [call for call in content.get("calls") or [] if isinstance(call, dict)]
    end = ENDS.get(str(calls[-1].get("finish_reason"))) if calls else None
    tokens = [(call.get("usage") or {}).get("completion_tokens") for call in calls]
    known = [one for one in tokens if isinstance(one, int)]
    total = sum(known) if known and len(known) == len(tokens) else None
    answer = data.get("answer")
    return ForeignRow(
        row.where,
        _problem_id(row, task, data),
        [_ended(sample, end, total)],
        prompt=_messages(data.get("prompt")),
        reference=None if answer is None else str(answer),
        metadata=data,
        judge=metric,
    )


def _problem_id(row: Row, task: Mapping[str, Any], data: Mapping[str, Any]) -> str:
    """The task's own key where it has one, else its place or name in the task set, else the hash of its content."""
    for value in (task.get("key"), data.get("idx"), data.get("name"), task.get("hash")):
        if value is not None:
            return str(value)
    raise TaskError(f"{row.where}: the task has no key, idx, name or hash; expected one to tell problems apart")


def _rewards(content: Mapping[str, Any]) -> dict[str, Any]:
    """The sum of weighted rewards, as verifiers forms it; each reward's own score; and the metrics."""
    rewards = {name: one for name, one in (content.get("rewards") or {}).items() if isinstance(one, dict)}
    scored = [one["score"] * one.get("weight", 1.0) for one in rewards.values() if one.get("score") is not None]
    total = sum(scored) if scored else None
    return {
        **(content.get("metrics") or {}),
        **{name: one.get("score") for name, one in rewards.items()},
        REWARD: total,
    }


def _sampled(content: Mapping[str, Any]) -> str | None:
    """What the model wrote, all turns in order."""
    nodes = [node for node in content.get("nodes") or [] if isinstance(node, dict) and node.get("sampled")]
    texts = [_message(node.get("message") or {}) for node in nodes]
    return "\n\n".join(texts) if texts else None


def _message(message: Mapping[str, Any]) -> str:
    thought = message.get("reasoning_content")
    said = text_of(message.get("content"))
    return f"<think>\n{thought}\n</think>\n{said}" if thought else said


def _messages(value: Any) -> str | None:
    """A text, or a conversation: one message as it is, several with their roles."""
    if value is None or isinstance(value, str):
        return value
    if not isinstance(value, list):
        return shown(value)
    messages = [message for message in value if isinstance(message, dict)]
    if len(messages) == 1:
        return _message(messages[0])
    return "\n\n".join(f"{message.get('role', 'user')}: {_message(message)}" for message in messages)


def _judged(where: str, text: str | None, value: Any, rule: tuple[str, float | None], failed: bool) -> ForeignSample:
    metric, threshold = rule
    if failed:
        return ForeignSample(text, Outcome.VOID, None, "error")
    if value is None:
        return ForeignSample(text, None, reason=f"there is no '{metric}'")
    outcome = outcome_of(value, threshold, f"'{metric}'", where)
    return ForeignSample(text, outcome, None, "rewarded" if outcome is Outcome.RIGHT else "not_rewarded")


def _ended(sample: ForeignSample, end: FinishReason | None, tokens: int | None) -> ForeignSample:
    return ForeignSample(sample.text, sample.outcome, sample.answer, sample.reason, end, tokens)
