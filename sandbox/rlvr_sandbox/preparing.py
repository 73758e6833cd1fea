"""A task made ready for a judge: inputs encoded, output caps worked out, the oracle prepared, once for all programs."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from rlvr_sandbox import oracles
from rlvr_sandbox.errors import SandboxError, TaskInvalid
from rlvr_sandbox.jail import given, tagged
from rlvr_sandbox.records import CodeTask, Exit, Job, Style, TestRun

VERDICT_VERSION = "1"
"""To be raised when any verdict could change: verdicts of another version are never taken from a cache."""

# An output this many times as large as the expected one, or so much larger, cannot be right in any encoding.
_OUTPUT_FACTOR, _OUTPUT_MORE = 16, 64 << 20
# In values, as in bytes: what the judge makes of an output stays near the size of what it makes of the expected one.
_NODE_FACTOR = 4
_LEAST_NODES = 1_000_000
_LEAST_DIGITS = 100_000
_MOST_BYTES = 1 << 30
_REMEMBERED_BYTES = 4096
UNCAPPED = tagged.Caps(_MOST_BYTES, nodes=_MOST_BYTES, digits=_MOST_BYTES)
"""For data of our own."""
_IDENTIFIER = re.compile(r"[^\w .:-]")


class OracleBroken(SandboxError):
    """The oracle cannot even take the expected answer: the task is at fault, not the program."""


@dataclass(frozen=True)
class PreparedTask:
    """What is worked out once. `digest` stands for the whole task in cache keys."""

    task: CodeTask
    inputs: tuple[bytes, ...]
    cpu_s: tuple[float, ...]
    caps: tuple[tagged.Caps, ...]
    accepts: oracles.Accepts
    digest: bytes
    _right: dict[int, bytes] = field(default_factory=dict, repr=False)
    """Of each test the last output that was right, where it is short: right programs mostly say the same."""

    def job(self, program: str) -> Job:
        """What a box is given to run that program on all tests."""
        return Job(
            program=program.encode("utf-8", "surrogatepass"),
            style=self.task.style,
            inputs=self.inputs,
            cpu_s=self.cpu_s,
            output_caps=[cap.size for cap in self.caps],
            limits=self.task.limits,
            entry=_entry(self.task, program),
            prelude=self.task.prelude.encode("utf-8", "surrogatepass"),
        )

    def key(self, program: str, environment: str) -> bytes:
        """The cache key of that program; `environment` tells the interpreter and its modules."""
        parts = (VERDICT_VERSION.encode(), environment.encode(), program.encode("utf-8", "surrogatepass"), self.digest)
        return _digest(parts)

    def fault(self, index: int, run: TestRun) -> str | None:
        """Why this test is not passed; None when it is. Raises OracleBroken, and nothing else, whatever the output."""
        if run.exit is Exit.RAISED:
            return f"raised: {_tame(run.detail)}"
        if run.exit is not Exit.RETURNED:
            return {Exit.OUTPUT: "output_limit"}.get(run.exit, run.exit.value)
        if len(run.output) > self.caps[index].size:
            return "output_limit"
        if self._right.get(index) == run.output:
            return None
        fault = self._fault_of(index, run.output)
        if fault is None and len(run.output) <= _REMEMBERED_BYTES:
            self._right[index] = run.output
        return fault

    def _fault_of(self, index: int, output: bytes) -> str | None:
        if self.task.style is Style.STDIN:
            return None if self._accepts(index, output) else "wrong_answer"
        try:
            value = tagged.decode(output, self.caps[index])
        except tagged.Malformed:
            return "malformed_output"
        if self._accepts(index, value):
            return None
        return f"opaque_output: {_tame(value.type_name)}" if isinstance(value, tagged.Opaque) else "wrong_answer"

    def _accepts(self, index: int, output: Any) -> bool:
        try:
            return bool(self.accepts(index, output))
        except Exception as error:  # noqa: BLE001  (an oracle is a plugin: what it cannot compare is not right)
            self._blame(index, error)
            return False

    def _blame(self, index: int, error: Exception) -> None:
        """Raises OracleBroken when the expected answer in the program's place fails as well."""
        expected = self.task.expected[index]
        try:
            self.accepts(index, expected.encode() if self.task.style is Style.STDIN else expected)
        except Exception as again:  # noqa: BLE001  (an oracle is a plugin)
            what = f"task {self.task.name}, test {index}: oracle {self.task.oracle} fails on the expected answer"
            raise OracleBroken(f"{what}: {again!r}") from error


def _tame(text: str) -> str:
    """A program's word made fit for a table: 'Évil\\n[x]' -> 'Évil__x_'."""
    return _IDENTIFIER.sub("_", text[:80]) or "unnamed"


def _entry(task: CodeTask, program: str) -> str | None:
    """`class_optional`: where the program has no such class, the function by itself is meant."""
    holder, _, name = (task.entry or "").rpartition(".")
    if holder and task.settings.get("class_optional") and f"class {holder}" not in program:
        return name
    return task.entry


def _digest(parts: Iterable[bytes]) -> bytes:
    """SHA-256 over the parts, each with its length, so that no two lists run together."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "little") + part)
    return digest.digest()


def encoded(task: CodeTask, what: str, value: Any) -> bytes:
    """The value as bytes. Raises TaskInvalid where it has no encoding, or none that comes back."""
    try:
        data = tagged.encode(value, _MOST_BYTES)
        back = tagged.decode(data, UNCAPPED)
    except (tagged.TooLarge, tagged.Malformed) as error:
        raise TaskInvalid(f"task {task.name}: {what} cannot be encoded: {error}") from error
    if any(isinstance(part, tagged.Opaque) for part in _walk(back)):
        raise TaskInvalid(f"task {task.name}: {what} holds a value that is not plain data")
    return data


def _walk(value: Any) -> Iterable[Any]:
    """The value and all values in it."""
    todo = [value]
    while todo:
        item = todo.pop()
        yield item
        if isinstance(item, dict):
            todo.extend(item.keys())
            todo.extend(item.values())
        elif isinstance(item, list | tuple | set | frozenset):
            todo.extend(item)


def _caps(task: CodeTask, size: int, nodes: int) -> tagged.Caps:
    return tagged.Caps(
        size=max(task.limits.output_bytes, min(_OUTPUT_FACTOR * size, size + _OUTPUT_MORE)),
        nodes=max(_LEAST_NODES, _NODE_FACTOR * nodes),
        digits=max(_LEAST_DIGITS, 2 * size),
    )


def _stdin_caps(task: CodeTask) -> list[tagged.Caps]:
    return [_caps(task, len(text.encode("utf-8", "surrogatepass")), 1) for text in task.expected]


def _check(task: CodeTask) -> None:
    if not task.inputs:
        raise TaskInvalid(f"task {task.name}: it has no tests, so that every program would pass")
    for name, values in {"expected answers": task.expected, "limits_s": task.limits_s or task.inputs}.items():
        if len(values) != len(task.inputs):
            raise TaskInvalid(f"task {task.name}: {len(task.inputs)} inputs, {len(values)} {name}")
    if task.style is Style.FUNCTION and not task.entry:
        raise TaskInvalid(f"task {task.name}: a function task needs an entry point")
    if task.style is Style.STDIN and not all(isinstance(text, str) for text in (*task.inputs, *task.expected)):
        raise TaskInvalid(f"task {task.name}: inputs and expected answers of a stdin task are texts")


def input_bytes(task: CodeTask) -> tuple[bytes, ...]:
    """The inputs as a box takes them. Raises TaskInvalid."""
    if task.style is Style.STDIN:
        return tuple(text.encode("utf-8", "surrogatepass") for text in task.inputs)
    return tuple(encoded(task, f"input {index}", list(given)) for index, given in enumerate(task.inputs))


def _quick(task: CodeTask, inputs: tuple[bytes, ...]) -> tuple[bytes, ...]:
    """As a child reads them fastest, made once for all programs."""
    return inputs if task.style is Style.STDIN else tuple(map(given.quick, inputs))


def prepare(task: CodeTask) -> PreparedTask:
    """Raises TaskInvalid for a task that cannot be judged."""
    _check(task)
    inputs = input_bytes(task)
    answers: Sequence[bytes]
    if task.style is Style.STDIN:
        answers = [text.encode("utf-8", "surrogatepass") for text in task.expected]
        caps = _stdin_caps(task)
    else:
        answers = [encoded(task, f"expected answer {index}", value) for index, value in enumerate(task.expected)]
        caps = [
            _caps(task, len(answer), sum(1 for _ in _walk(value)))
            for answer, value in zip(answers, task.expected, strict=True)
        ]
    cpu_s = tuple(task.limits_s) or (task.limits.cpu_s,) * len(inputs)
    about = {"settings": sorted(task.settings.items()), "limits": sorted(asdict(task.limits).items()), "cpu": cpu_s}
    texts = (task.style.value, task.entry or "", task.prelude, task.oracle)
    words = _digest(text.encode("utf-8", "surrogatepass") for text in texts)
    digest = _digest([words, encoded(task, "its settings", about), _digest(inputs), _digest(answers)])
    return PreparedTask(task, _quick(task, inputs), cpu_s, tuple(caps), oracles.prepare(task), digest)


def prepare_to_observe(task: CodeTask) -> PreparedTask:
    """A task without expected answers, for a program whose answers are to be taken as they are. Raises TaskInvalid."""
    inputs = input_bytes(task)
    cap = tagged.Caps(task.limits.output_bytes)
    return PreparedTask(
        task,
        _quick(task, inputs),
        (task.limits.cpu_s,) * len(inputs),
        (cap,) * len(inputs),
        lambda index, output: False,
        b"",
    )
