"""Columns of the Parquet files of a run folder, and what a part must hold to count as whole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pyarrow as pa

from rlvr_harness.records import FinishReason, Outcome

Columns = Mapping[str, pa.DataType]
SAMPLE_SCHEMA: Columns = {
    "problem_id": pa.string(),
    "index": pa.int32(),
    "seed": pa.int64(),
    "text": pa.large_string(),
    "finish_reason": pa.string(),
    "n_tokens": pa.int32(),
    "logprob_sum": pa.float64(),
}
VERDICT_SCHEMA: Columns = {
    "problem_id": pa.string(),
    "index": pa.int32(),
    "outcome": pa.string(),
    "answer": pa.large_string(),
    "reason": pa.string(),
    "seconds": pa.float64(),
}
PROBLEM_SCHEMA: Columns = {
    "problem_id": pa.string(),
    "prompt": pa.large_string(),
    "reference": pa.large_string(),
    "metadata": pa.large_string(),
}
PERPLEXITY_SCHEMA: Columns = {
    "problem_id": pa.string(),
    "index": pa.int32(),
    "logprob_sum": pa.float64(),
    "n_tokens": pa.int32(),
}
ENTROPY_SCHEMA: Columns = {
    "problem_id": pa.string(),
    "index": pa.int32(),
    "at_1": pa.float64(),
    "at_sampling": pa.float64(),
    "n_tokens": pa.int32(),
}
MEBIBYTE = 1 << 20


PLAIN = frozenset({"index", "seed", "text", "seconds", "logprob_sum", "at_1", "at_sampling"})


@dataclass(frozen=True)
class PartKind:
    """One kind of table. Columns added after schema 1 are `optional`: where a part lacks one, it reads as null."""

    top: str
    columns: Columns
    optional: frozenset[str] = frozenset()
    nullable: frozenset[str] = frozenset()
    allowed: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """column -> its only values."""
    full_bytes: int = 128 * MEBIBYTE
    """A part of this size is never rewritten."""

    @property
    def plain(self) -> list[str]:
        """Columns whose values hardly repeat: a dictionary of them costs time and saves nothing."""
        return [name for name in self.columns if name in PLAIN]


SAMPLES = PartKind(
    "samples",
    SAMPLE_SCHEMA,
    optional=frozenset({"logprob_sum"}),
    nullable=frozenset({"logprob_sum"}),
    allowed={"finish_reason": frozenset(FinishReason)},
)
VERDICTS = PartKind(
    "verdicts",
    VERDICT_SCHEMA,
    nullable=frozenset({"answer"}),
    allowed={"outcome": frozenset(Outcome)},
    # A verdict takes some 10 bytes: merging a part holds 24 bytes a row, so this bounds its memory as 128 MiB of texts.
    full_bytes=16 * MEBIBYTE,
)
PERPLEXITIES = PartKind("analyses/perplexity", PERPLEXITY_SCHEMA, nullable=frozenset({"logprob_sum"}))
ENTROPIES = PartKind("analyses/entropy", ENTROPY_SCHEMA, nullable=frozenset({"at_1", "at_sampling"}))
SCORED = (PERPLEXITIES, ENTROPIES)
"""Kinds that `ppl` and `entropy` write; each lies under <task>/<model that scores>/<author of the texts>."""
PROBLEMS = PartKind("problems", PROBLEM_SCHEMA)


def fault_of_schema(schema: pa.Schema, kind: PartKind) -> str | None:
    """What keeps a file of this schema from being a part of that kind, in words; None where nothing does."""
    if missing := [name for name in kind.columns if name not in schema.names and name not in kind.optional]:
        return f"it lacks {', '.join(sorted(missing))}"
    absent = [name for name in kind.columns if name not in schema.names]
    if absent and (other := [name for name in schema.names if name not in kind.columns]):
        # No version writes such a part; a changed byte in the name of a column makes one.
        return f"it has {', '.join(other)} and lacks {', '.join(absent)}"
    for name, wanted in kind.columns.items():
        if schema.names.count(name) > 1:
            return f"it has {name} twice"
        if name in schema.names and _family(schema.field(name).type) not in (_family(wanted), "null"):
            return f"its {name} is {schema.field(name).type}, not {wanted}"
    return None


def _family(kind: pa.DataType) -> str:
    """Types that hold the same values, as another writer may choose them: int32 and int64 -> "integer"."""
    if pa.types.is_dictionary(kind):
        return _family(kind.value_type)
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or str(kind) == "string_view":
        return "text"
    if pa.types.is_integer(kind):
        return "integer"
    return "number" if pa.types.is_floating(kind) else str(kind)
