"""Finds checkpoints in folders as training leaves them: their steps, and whether they are written to the end."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

STEP = re.compile(
    r"(?:^|[^a-z])(?:checkpoint|ckpt|global_?step|step|iter(?:ation)?)s?[-_ =]?(\d{1,9})(?!\d)", re.IGNORECASE
)
"""'runs/x/checkpoint-100', 'step_200', 'global_step300_hf': the last one in a name is its training step."""
MODEL_FILE, ADAPTER_FILE, STATE_FILE = "config.json", "adapter_config.json", "trainer_state.json"
INNER = ("actor/huggingface", "actor/lora_adapter", "actor")
"""Where verl keeps what transformers or PEFT can open, inside of `global_step_N`; the first that is one counts."""
UNSAID = frozenset({"checkpoints", "checkpoint", "ckpt", "ckpts", "actor", "huggingface", "lora_adapter", "_actor"})
"""Folder names that say nothing of what was trained."""
WEIGHTS = ("*.safetensors", "pytorch_model*.bin", "adapter_model.bin")
TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt", "spiece.model", "tekken.json")
HEADER = 8
"""Bytes at the start of a safetensors file that tell the length of its description."""


@dataclass(frozen=True, slots=True)
class FoundCheckpoint:
    """A folder that is or will be a checkpoint. `step` is None where nothing tells it.

    `name` tells it from the others; `series` is the training it came from, "" where there is one training alone;
    `lacks` says in words what is not there yet, "" for a finished checkpoint.
    """

    path: Path
    name: str
    origin: Path
    step: int | None = None
    is_adapter: bool = False
    lacks: str = ""
    series: str = ""


def find_checkpoints(folders: Sequence[Path], own_tokenizer: bool = True) -> list[FoundCheckpoint]:
    """Every checkpoint in or below the folders, finished or not, by step; those without one as they were given.

    `own_tokenizer`: whether each needs a tokenizer of its own to be finished.
    """
    found: dict[Path, FoundCheckpoint] = {}
    for folder in folders:
        for one in _below(folder):
            lacks = what_lacks(one.path, own_tokenizer)
            found.setdefault(one.path.resolve(), replace(one, lacks=lacks))
    return sorted(_named(list(found.values())), key=lambda one: (one.step is None, one.step or 0))


def step_of(path: Path) -> int | None:
    """The last step in the name of a folder, else that of its trainer_state.json. "run-2/global_step40_hf" -> 40."""
    if named := STEP.findall(path.name):
        return int(named[-1])
    step = _json(path / STATE_FILE).get("global_step")
    return step if isinstance(step, int) and not isinstance(step, bool) else None


def what_lacks(folder: Path, own_tokenizer: bool = True) -> str:
    """What a checkpoint needs to be opened and has not, or not whole; "" for one that has all."""
    is_adapter = (folder / ADAPTER_FILE).is_file()
    described = folder / (ADAPTER_FILE if is_adapter else MODEL_FILE)
    if not described.is_file():
        return f"no {MODEL_FILE}"
    if not _json(described):
        return f"{described.name} is not whole"
    if lack := _lacking_weights(folder):
        return lack
    if is_adapter or not own_tokenizer:
        return ""
    present = [folder / name for name in TOKENIZERS if (folder / name).is_file()]
    if not present:
        return "no tokenizer"
    broken = [path.name for path in present if path.suffix == ".json" and not _json(path)]
    return f"{broken[0]} is not whole" if broken else ""


def _below(folder: Path) -> Iterator[FoundCheckpoint]:
    """The checkpoints of one folder that a user named: those inside it, else itself."""
    if not folder.is_dir():
        return
    inside = folder / "checkpoints" if (folder / "checkpoints").is_dir() else folder
    steps = []
    for child in sorted(path for path in inside.iterdir() if path.is_dir() and not path.name.startswith(".")):
        opened = _opened(child)
        if opened is not None and not _is_engine_copy(child):
            steps.append(step_of(child))
            yield _found(child, opened, inside)
    own = _opened(folder)
    if own is not None and (not steps or step_of(folder) not in {None, *steps}):
        yield _found(folder, own, folder.parent)


def _found(folder: Path, opened: Path, origin: Path) -> FoundCheckpoint:
    is_adapter = (opened / ADAPTER_FILE).is_file()
    step = step_of(folder) if step_of(folder) is not None else step_of(opened)
    return FoundCheckpoint(opened, folder.name, origin, step, is_adapter)


def _opened(folder: Path) -> Path | None:
    """The folder, or the one inside it, that a sampler can open or will be able to; None for any other folder."""
    for path in (folder, *(folder / inner for inner in INNER)):
        if (path / MODEL_FILE).is_file() or (path / ADAPTER_FILE).is_file():
            return path
    return folder if STEP.search(folder.name) else None


def _is_engine_copy(folder: Path) -> bool:
    """Whether it is DeepSpeed's own copy of a step, beside which the Hugging Face folder lies or will lie."""
    if (folder / MODEL_FILE).is_file() or (folder / ADAPTER_FILE).is_file():
        return False
    if folder.with_name(f"{folder.name}_hf").is_dir():
        return True
    return any(folder.glob("*mp_rank_*"))


def _lacking_weights(folder: Path) -> str:
    shards: list[Path] = []
    for index in sorted(folder.glob("*.index.json")):
        listed = _json(index).get("weight_map")
        if not isinstance(listed, dict) or not listed:
            return f"{index.name} is not whole"
        shards += [folder / str(name) for name in sorted(set(listed.values()))]
    if missing := [shard.name for shard in shards if not shard.is_file()]:
        return f"{len(missing)} of {len(shards)} weight files are missing ({missing[0]})"
    weights = shards or sorted({path for pattern in WEIGHTS for path in folder.glob(pattern)})
    if not weights:
        sharded = any(folder.parent.glob("model_world_size_*.pt"))
        return "no weights here" + ("; merge the shards beside it with verl's model merger" if sharded else "")
    short = [path.name for path in weights if path.suffix == ".safetensors" and not _whole(path)]
    return f"{short[0]} is not whole" if short else ""


def _whole(path: Path) -> bool:
    """Whether a safetensors file is as long as its description says."""
    try:
        with path.open("rb") as opened:
            length = int.from_bytes(opened.read(HEADER), "little")
            size = path.stat().st_size
            if not 0 < length <= size - HEADER:
                return False
            tensors = json.loads(opened.read(length))
        ends = [int(one["data_offsets"][1]) for name, one in tensors.items() if name != "__metadata__"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False
    return size >= HEADER + length + max(ends, default=0)


def _json(path: Path) -> dict[str, Any]:
    """A JSON object; empty where there is none, or half of one."""
    with suppress(OSError, ValueError):
        content = json.loads(path.read_text(encoding="utf-8"))
        return content if isinstance(content, dict) else {}
    return {}


def _named(found: Sequence[FoundCheckpoint]) -> list[FoundCheckpoint]:
    """Under names that differ: those of several trainings begin with the training's name."""
    several = {one.origin.resolve() for one in found if STEP.search(one.name)}
    plain = [one.name for one in found]
    names = _names_of([one.origin for one in found])
    taken: list[FoundCheckpoint] = []
    for one in found:
        many = len(several) > 1 and one.origin.resolve() in several
        series = names[one.origin.resolve()] if many else ""
        alike = plain.count(one.name) > 1
        name = f"{names[one.origin.resolve()]}-{one.name}" if many or alike else one.name
        name = re.sub(r"[^A-Za-z0-9._+-]+", "_", name).lstrip("._-") or "checkpoint"
        taken.append(replace(one, name=name, series=series))
    return taken


def _names_of(origins: Sequence[Path]) -> dict[Path, str]:
    """Folder -> as many of its last parts as tell it from the others. "/r/grpo/checkpoints" -> "grpo"."""
    said = {
        path.resolve(): [part for part in path.resolve().parts[1:] if part.lower() not in UNSAID] or [path.name]
        for path in origins
    }
    length = 1
    while len({tuple(parts[-length:]) for parts in said.values()}) < len(said) and length < 99:
        length += 1
    return {path: "-".join(parts[-length:]) for path, parts in said.items()}
