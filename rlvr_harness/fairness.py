"""How fairly the models of a run are compared: what was found to differ, and what was decided about it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

ON_PURPOSE = "temperatures differ on purpose"
"""How a warning about models sampled at temperatures of their own begins."""
Breaks = Literal["", "prompt", "sampling"]


@dataclass(frozen=True, slots=True)
class Fairness:
    """Whether a model met the conditions of the base (None: unknown), and what to be wary of.

    `eos_tokens`: the end tokens that every model stopped at; None where each had its own.
    """

    same_prompt: bool | None = None
    same_sampling: bool | None = None
    warnings: tuple[str, ...] = ()
    eos_tokens: tuple[str, ...] | None = None

    def as_data(self, warnings: Sequence[str]) -> dict[str, Any]:
        """For results.json, with these warnings in place of its own."""
        ends = {} if self.eos_tokens is None else {"eos_tokens": list(self.eos_tokens)}
        return {
            "same_prompt": self.same_prompt,
            "same_sampling": self.same_sampling,
            "warnings": list(warnings),
            **ends,
        }


@dataclass(frozen=True, slots=True)
class Finding:
    """One condition that differs between models, or deserves a warning, in words.

    `breaks`: what is then not the same, "" for a mere warning; `certain` is False where it is only unknown. `kinds`:
    role -> what that model has, equal for models that are alike in this; empty: no two are. `task`: None for all.
    """

    text: str
    breaks: Breaks = ""
    way_out: str = ""
    task: str | None = None
    certain: bool = True
    kinds: Mapping[str, str] = field(default_factory=dict)

    def parts(self, base: str, role: str) -> bool:
        """Whether the two models differ in this."""
        return base != role and (not self.kinds or self.kinds.get(base) != self.kinds.get(role))


@dataclass(frozen=True, slots=True)
class Decision:
    """What the guard found, and the end tokens that every model is to stop at (None: each at its own)."""

    findings: tuple[Finding, ...] = ()
    eos_tokens: tuple[str, ...] | None = None

    @property
    def refusals(self) -> list[Finding]:
        """The findings that only --allow_unfair lets pass."""
        return [finding for finding in self.findings if finding.breaks and finding.certain]

    def warnings(self, task: str) -> list[str]:
        """What the report of a task has to say."""
        return [finding.text for finding in self.findings if finding.task in (None, task)]

    def of(self, task: str, base: str, role: str) -> Fairness:
        """How fairly two models were compared on a task."""
        return Fairness(
            self._same("prompt", task, base, role), self._same("sampling", task, base, role), (), self.eos_tokens
        )

    def _same(self, breaks: str, task: str, base: str, role: str) -> bool | None:
        against = [f for f in self.findings if f.breaks == breaks and f.task in (None, task) and f.parts(base, role)]
        if any(finding.certain for finding in against):
            return False
        return None if against else True

    def as_data(self) -> dict[str, Any]:
        """For run.json."""
        ends = None if self.eos_tokens is None else list(self.eos_tokens)
        return {"eos_tokens": ends, "findings": [asdict(finding) for finding in self.findings]}

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Decision:
        """The decision that `as_data` gave."""
        ends = data["eos_tokens"]
        return cls(tuple(Finding(**finding) for finding in data["findings"]), None if ends is None else tuple(ends))
