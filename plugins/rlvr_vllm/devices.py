"""Which devices an engine is given: `--devices 0,1,2,3` with tensor_parallel_size=2 makes two engines of two GPUs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rlvr_harness import ModelError, ModelRequest

VISIBLE = "CUDA_VISIBLE_DEVICES"
PARALLEL = ("tensor_parallel_size", "pipeline_parallel_size")
"""Arguments that multiply to the GPUs of one engine."""


@dataclass(frozen=True)
class Group:
    """The devices of one engine: their kind, and their numbers where they have any."""

    kind: str
    numbers: tuple[int, ...] = ()

    @property
    def name(self) -> str:
        """As the user knows it. "cuda:0", "cuda:2+3", "cpu"."""
        return f"{self.kind}:{'+'.join(map(str, self.numbers))}" if self.numbers else self.kind

    def visible(self, environment: Mapping[str, str]) -> str | None:
        """CUDA_VISIBLE_DEVICES for the engine's process; numbers count what this process may see itself."""
        if not self.numbers:
            return None
        outer = [name.strip() for name in environment.get(VISIBLE, "").split(",") if name.strip()]
        if not outer:
            return ",".join(map(str, self.numbers))
        if max(self.numbers) >= len(outer):
            raise ModelError(
                f"--devices: there is no {self.kind}:{max(self.numbers)}; {VISIBLE}={environment[VISIBLE]} shows "
                f"{len(outer)} device(s), counted from 0"
            )
        return ",".join(outer[number] for number in self.numbers)


def groups_of(request: ModelRequest) -> list[Group]:
    """A group for each engine; none where one engine in this process takes the first devices that it sees.

    "0,1" -> cuda:0, cuda:1; "cpu,cpu" -> two engines on the CPU; "cuda", "cuda:0" and "cpu" -> none, but beside other
    models cuda:0, cuda:0 and cpu.
    """
    named = [name.strip() for name in (request.device or "").split(",") if name.strip()]
    if request.device is not None and not named:
        raise ModelError(f"--devices {request.device!r} names no device; give 0,1 for GPUs, or leave it out")
    parted = [("cuda", name) if name.isdecimal() else name.partition(":")[::2] for name in named]
    if parted == [("cuda", "")] and request.beside:
        parted = [("cuda", "0")]
    if not request.beside and len(parted) < 2 and (not parted or parted[0][1] in ("", "0")):
        return []
    kinds = {kind for kind, _ in parted}
    if len(kinds) > 1:
        raise ModelError(f"--devices {request.device}: all engines of a model need devices of one kind")
    if kinds == {"cpu"}:
        return [Group("cpu") for _ in parted]
    if kinds != {"cuda"}:
        raise ModelError(f"--devices {request.device}: several engines, and numbers, are for GPUs (0,1) and cpu,cpu")
    numbers = [int(number) for _, number in parted if number.isdecimal()]
    if len(numbers) < len(parted) or len(set(numbers)) < len(numbers):
        raise ModelError(f"--devices {request.device}: name every GPU once, by its number, as 0,1")
    return _parted(request, numbers)


def _parted(request: ModelRequest, numbers: Sequence[int]) -> list[Group]:
    size = 1
    for name in PARALLEL:
        size *= int(request.args.get(name) or 1)
    if len(numbers) % size:
        asked = " times ".join(name for name in PARALLEL if request.args.get(name))
        raise ModelError(
            f"--devices {request.device}: {len(numbers)} devices make no whole number of engines of {size} ({asked}); "
            f"name a multiple of {size}"
        )
    return [Group("cuda", tuple(numbers[start : start + size])) for start in range(0, len(numbers), size)]
