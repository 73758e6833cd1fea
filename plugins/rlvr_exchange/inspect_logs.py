"""The `inspect` importer: logs of inspect-ai, `.eval` (a zip file) or `.json`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rlvr_exchange.deciding import SampleFormat, one_file, one_of, outcome_of, text_of
from rlvr_exchange.documents import JsonStream, open_text, top_keys
from rlvr_exchange.lines import Row, shown
from rlvr_exchange.zip_members import member_names, read_members
from rlvr_harness import FinishReason, ForeignChoice, ForeignRow, ForeignSample, Outcome, TaskError

HEADER = "header.json"
STARTED = "_journal/start.json"
"""What a log has in place of a header until its run ends."""
LETTERS = {"C": 1.0, "P": 0.5, "I": 0.0, "N": 0.0, "correct": 1.0, "incorrect": 0.0}
"""inspect-ai's own numbers for correct, partial, incorrect and no answer."""
REASONS = {"C": "match", "P": "partial", "I": "no_match", "N": "no_answer"}
ENDS = {"stop": FinishReason.STOP, "max_tokens": FinishReason.LENGTH, "model_length": FinishReason.LENGTH}
ATTACHED = "attachment://"


class InspectLogs(SampleFormat):
    """One member or list element a sample and epoch; the epochs of a sample are its further samples."""

    name = "inspect"
    description = "log of inspect-ai, .eval or .json, or a folder with one a task; --metric SCORER[,KEY]"

    def recognises(self, path: Path) -> bool:
        """By the members of the zip file, or the members of the JSON document."""
        files = _logs(path)
        return bool(files) and all(_is_log(file) for file in files[:1])

    def tasks(self, path: Path) -> Sequence[str]:
        """As the logs' headers name them."""
        return list(_by_task(path))

    def rows(self, path: Path, choice: ForeignChoice) -> Iterator[ForeignRow]:
        """One ForeignRow per sample and epoch."""
        found = _by_task(path)
        if not found:
            raise TaskError(f"{path} holds no .eval or .json log of inspect-ai")
        file = one_file(found, choice.task if choice.task in found else None, path)
        empty = True
        for row in _samples(file):
            empty = False
            yield _row(row, choice)
        if empty:
            raise TaskError(f"{file} holds no samples; was the evaluation run with --no-log-samples, or stopped early?")


def _logs(path: Path) -> list[Path]:
    if path.is_dir():
        return sorted(file for file in path.iterdir() if file.suffix in (".eval", ".json") and _is_log(file))
    return [path] if path.is_file() and path.suffix in (".eval", ".json") else []


def _is_log(file: Path) -> bool:
    if file.suffix == ".json":
        return {"eval", "status"} <= set(top_keys(file))
    try:
        return bool({HEADER, STARTED} & set(member_names(file)))
    except TaskError:
        return False


def _by_task(path: Path) -> dict[str, list[Path]]:
    found: dict[str, list[Path]] = {}
    for file in _logs(path):
        task = _header(file).get("eval", {}).get("task")
        # A task of a package is named package/task.
        found.setdefault(str(task or file.stem).rpartition("/")[2], []).append(file)
    return found


def _header(file: Path) -> Mapping[str, Any]:
    if file.suffix == ".json":
        with open_text(file) as opened:
            stream = JsonStream(opened, file)
            for key in stream.members():
                value = stream.value()
                if key == "eval":
                    return {"eval": value}
        return {}
    there = member_names(file)
    if not (wanted := [name for name in (HEADER, STARTED) if name in there]):
        raise TaskError(f"{file} has neither {HEADER} nor {STARTED}; expected a log of inspect-ai")
    for name, content in read_members(file, wanted[:1]):
        return _parsed(f"{file} member {name}", content)
    return {}


def _parsed(where: str, content: bytes) -> Mapping[str, Any]:
    try:
        found = json.loads(content)
    except ValueError as error:
        raise TaskError(f"{where} is not JSON: {error}") from error
    if not isinstance(found, dict):
        raise TaskError(f"{where} is {shown(found)}; expected an object")
    return found


def _samples(file: Path) -> Iterator[Row]:
    """The samples, epoch by epoch where they are members of a zip file."""
    if file.suffix == ".json":
        with open_text(file) as opened:
            stream = JsonStream(opened, file)
            for key in stream.members():
                if key != "samples" or stream.peek() != "[":
                    stream.value()
                    continue
                for sample in stream.elements():
                    if not isinstance(sample, dict):
                        raise TaskError(f"{stream.where}: {shown(sample)}; expected a sample")
                    yield Row(stream.where, sample)
        return
    names = [name for name in member_names(file) if name.startswith("samples/") and name.endswith(".json")]
    for name, content in read_members(file, sorted(names, key=_epoch)):
        where = f"{file} member {name}"
        yield Row(where, _parsed(where, content))


def _epoch(name: str) -> int:
    """samples/p1_epoch_12.json -> 12"""
    digits = name.removesuffix(".json").rpartition("_epoch_")[2]
    return int(digits) if digits.isdigit() else 0


def _row(row: Row, choice: ForeignChoice) -> ForeignRow:
    content = row.content
    target = content.get("target")
    scorer, key = _scorer(row, choice)
    return ForeignRow(
        row.where,
        str(row.need("id", str, int)),
        [_sample(row, choice, (scorer, key))],
        prompt=_input(content),
        reference=target if target is None or isinstance(target, str) else _target(target),
        metadata=content["metadata"] if isinstance(content.get("metadata"), dict) else {},
        judge=f"{scorer},{key}" if key else scorer or "",
    )


def _target(target: Any) -> str:
    """["4"] -> "4"; several targets stay a list."""
    only = target[0] if isinstance(target, list) and len(target) == 1 else target
    return only if isinstance(only, str) else json.dumps(only, ensure_ascii=False)


def _scorer(row: Row, choice: ForeignChoice) -> tuple[str | None, str]:
    """Who decides: the scorer asked for, or the only one; and the key where its value has several."""
    scores = row.content.get("scores") or {}
    name, _, key = (choice.metric or "").partition(",")
    if not scores:
        return name or None, key
    return one_of(name or None, list(scores), row.where, "scorer"), key


def _sample(row: Row, choice: ForeignChoice, judge: tuple[str | None, str]) -> ForeignSample:
    content = row.content
    text, end = _completion(content)
    tokens = _tokens(content)
    error = content.get("error")
    scores = content.get("scores") or {}
    if not scores:
        if error:
            return ForeignSample(text, Outcome.VOID, None, "error", end, tokens)
        return ForeignSample(text, None, reason="the log has no score for it", finish_reason=end, n_tokens=tokens)
    scorer, key = judge
    score = scores[scorer]
    value = score.get("value") if isinstance(score, dict) else score
    if isinstance(value, dict):
        value = value[one_of(key or None, list(value), f"{row.where}: scorer '{scorer}'", "value")]
    elif isinstance(value, list):
        raise TaskError(f"{row.where}: scorer '{scorer}' gives a list; name another with --metric")
    outcome = _outcome(value, choice.threshold, f"scorer '{scorer}'", row.where)
    answer = score.get("answer") if isinstance(score, dict) else None
    reason = REASONS.get(str(value), "match" if outcome is Outcome.RIGHT else "no_match")
    return ForeignSample(text, outcome, answer if isinstance(answer, str) and answer else None, reason, end, tokens)


def _outcome(value: Any, threshold: float | None, what: str, where: str) -> Outcome:
    """Letters by inspect-ai's own numbers; a partial answer is wrong unless the threshold lets it pass."""
    if isinstance(value, str):
        if value not in LETTERS:
            raise TaskError(f"{where}: {what} gives {shown(value)}; expected C, I, P, N or a number")
        number = LETTERS[value]
        return outcome_of(number if threshold is not None else number == 1.0, threshold, what, where)
    return outcome_of(value, threshold, what, where)


def _completion(content: Mapping[str, Any]) -> tuple[str | None, FinishReason | None]:
    """What the model wrote last, and why it ended."""
    output = content.get("output") or {}
    choices = output.get("choices") or []
    if not choices:
        return None, None
    message = choices[0].get("message") or {}
    text = text_of(_attached(message.get("content"), content))
    return text, ENDS.get(str(choices[0].get("stop_reason")))


def _attached(value: Any, content: Mapping[str, Any]) -> Any:
    """Long texts may be stored once, under their hash, and named where they stand."""
    if isinstance(value, str) and value.startswith(ATTACHED):
        return (content.get("attachments") or {}).get(value.removeprefix(ATTACHED), value)
    if isinstance(value, list):
        return [_attached(one, content) for one in value]
    if isinstance(value, dict):
        return {name: _attached(one, content) if name in ("text", "reasoning") else one for name, one in value.items()}
    return value


def _input(content: Mapping[str, Any]) -> str | None:
    given = _attached(content.get("input"), content)
    if given is None or isinstance(given, str):
        return given
    messages = [message for message in given if isinstance(message, dict)]
    texts = [(str(one.get("role", "user")), text_of(_attached(one.get("content"), content))) for one in messages]
    return texts[0][1] if len(texts) == 1 else "\n\n".join(f"{role}: {text}" for role, text in texts)


def _tokens(content: Mapping[str, Any]) -> int | None:
    """Tokens of the last generation: a sample of several turns has more, which are not all in its text."""
    usage = (content.get("output") or {}).get("usage") or {}
    tokens = usage.get("output_tokens")
    return tokens if isinstance(tokens, int) else None
