"""What a training framework's own environment offers, asked of its interpreter; and when a checkpoint is whole."""

from __future__ import annotations

import json
import math
import os
import struct
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rlvr_harness.errors import UsageError

REWARD_COUNTS_VARIABLE = "RLVR_HARNESS_REWARD_COUNTS"
"""Environment variable: a folder where each process that gives rewards keeps its counts of verdicts."""
SURVEY_S = 180.0
"""A first `import torch` from a cold network disk takes over a minute."""
_HEADER_LIMIT = 100_000_000
"""Of a safetensors header, by its format."""
_LOAD_REWARD = """
import json, runpy, sys
runpy.run_path(sys.argv[1])
print("LOADED" + json.dumps(True))
"""
_SURVEY = """
import importlib.metadata, importlib.util, json, subprocess, sys
found = {}
for name in sys.argv[1:]:
    try:
        there = importlib.util.find_spec(name) is not None
    except (ImportError, ValueError):
        there = False
    if not there:
        continue
    found[name] = ""
    for wheel in (name, name.replace("_", "-")):
        try:
            found[name] = importlib.metadata.version(wheel)
        except importlib.metadata.PackageNotFoundError:
            pass
gpus = None
try:
    import torch
    if torch.cuda.is_available():
        count = torch.cuda.device_count()
        gpus = [torch.cuda.get_device_properties(place).total_memory for place in range(count)]
    elif torch.version.cuda or torch.version.hip:
        gpus = []
except Exception:
    pass
if gpus is None:
    asked = ["nvidia-smi", "--query-gpu=memory.total", "--format=csv,noheader,nounits"]
    try:
        told = subprocess.run(asked, capture_output=True, text=True, timeout=30)
        gpus = [int(float(line) * 2**20) for line in told.stdout.splitlines() if line.strip()[:1].isdigit()]
    except (OSError, subprocess.SubprocessError):
        gpus = []
print("SURVEY" + json.dumps({"packages": found, "gpus": gpus}))
"""


@dataclass(frozen=True)
class TrainingEnvironment:
    """Versions of the packages it has ("" where it tells none) and the memory of each GPU that it sees, in bytes.

    `fault`: why it could not be asked, "" where it could.
    """

    python: Path
    packages: Mapping[str, str] = field(default_factory=dict)
    gpu_bytes: tuple[int, ...] = ()
    fault: str = ""


@dataclass(frozen=True)
class ScriptAnswer:
    """What a script in the other environment gave: its JSON, or the fault in one line."""

    found: Any = None
    fault: str = ""


def survey_environment(
    python: Path | None, packages: Sequence[str], timeout_s: float = SURVEY_S
) -> TrainingEnvironment:
    """Asks an interpreter, this one where None; only torch is imported there, by a process of its own."""
    chosen = python or Path(sys.executable)
    answer = run_script(chosen, _SURVEY, packages, "SURVEY", timeout_s)
    if answer.fault:
        return TrainingEnvironment(chosen, fault=answer.fault)
    return TrainingEnvironment(chosen, answer.found["packages"], tuple(answer.found["gpus"]))


def lacking_packages(found: TrainingEnvironment, wheels: Mapping[str, str]) -> Iterator[str]:
    """One line for each package that is not installed. `wheels`: package -> what to give to pip."""
    if found.fault:
        yield f"the environment of {found.python} cannot be asked: {found.fault}"
        return
    for name, wheel in wheels.items():
        if name not in found.packages:
            yield f"{name} is not installed for {found.python}: {found.python} -m pip install {wheel}"


def lacking_gpus(found: TrainingEnvironment, framework: str, nodes: int, gpus: int) -> Iterator[str]:
    """One line where one node has fewer GPUs than asked for; of several, this one need not be one that computes."""
    here = len(found.gpu_bytes)
    if found.fault or nodes > 1 or here >= gpus:
        return
    if here:
        yield f"{gpus} GPUs are asked for and {here} are seen; {framework} would wait without end; ask for {here}"
    else:
        yield f"no GPU is seen by {found.python}; {framework} trains on GPUs alone; run this where one is"


def run_script(python: Path, script: str, words: Sequence[str], mark: str, timeout_s: float = SURVEY_S) -> ScriptAnswer:
    """Runs the text of a script; its answer is the JSON behind `mark` at the start of a line of its output."""
    command = [str(python), "-c", script, *words]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=timeout_s, errors="replace")
    except subprocess.TimeoutExpired:
        return ScriptAnswer(fault=f"{python} gave no answer in {timeout_s:.0f} s")
    except OSError as error:
        return ScriptAnswer(fault=f"{python} cannot be run: {error.strerror}; name the environment's interpreter")
    for line in done.stdout.splitlines():
        if line.startswith(mark):
            return ScriptAnswer(json.loads(line.removeprefix(mark)))
    told = [line.strip() for line in done.stderr.splitlines() if line.strip()]
    return ScriptAnswer(
        fault=f"{python} ended with status {done.returncode}: {told[-1][:300] if told else 'no output'}"
    )


def reward_fault(python: Path, reward_file: Path) -> str:
    """Why an exported reward file does not load in the other environment, in one line; "" where it does.

    Frameworks swallow what goes wrong in a reward; here it is seen before anything starts.
    """
    answer = run_script(python, _LOAD_REWARD, [str(reward_file)], "LOADED")
    if not answer.fault:
        return ""
    return f"the reward file {reward_file} does not load: {answer.fault}; install what it needs for {python}"


def parameter_count(model: str) -> int | None:
    """Parameters of a local folder's safetensors weights, from their headers; None where there are none to read."""
    files = sorted(Path(model).glob("*.safetensors")) if Path(model).is_dir() else []
    headers = [_header(path) for path in files]
    if not headers or any(header is None for header in headers):
        return None
    entries = [entry for header in headers if header for name, entry in header.items() if name != "__metadata__"]
    return sum(math.prod(map(int, entry["shape"])) for entry in entries)


def reward_environment(output: Path) -> dict[str, str]:
    """What the processes that give rewards find in their environment: where to keep their counts, below the output.

    The folder is made here: a reward that cannot keep its counts gives none. Raises UsageError where it cannot be made.
    """
    counts = output.resolve() / "rewards"
    try:
        counts.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{counts} cannot be made: {error.strerror}; choose another output folder") from error
    return {REWARD_COUNTS_VARIABLE: str(counts), "PYTHONUNBUFFERED": "1", "TOKENIZERS_PARALLELISM": "true"}


def as_ray_job(command: Sequence[str], environment: Mapping[str, str], address: object = None) -> tuple[str, ...]:
    """`ray job submit` of a command: its workers get the environment from the job, not from the process that submits.

    `address`: of the cluster's dashboard; None: RAY_ADDRESS, else that of this machine.
    """
    asked = str(address or os.environ.get("RAY_ADDRESS") or "http://127.0.0.1:8265")
    runtime = json.dumps({"env_vars": dict(environment)})
    ray = (command[0], "-m", "ray.scripts.scripts", "job", "submit")
    return (*ray, f"--address={asked}", f"--runtime-env-json={runtime}", "--", *command)


def is_whole_checkpoint(folder: Path, tokenizer: bool = True) -> bool:
    """Whether a Hugging Face folder, or an adapter's, is all there: config, all weights, tokenizer."""
    adapter = folder / "adapter_config.json"
    if tokenizer and not (folder / "tokenizer_config.json").is_file():
        return False
    if adapter.is_file():
        weights = [folder / f"adapter_model.{kind}" for kind in ("safetensors", "bin")]
        return _is_json(adapter) and any(_is_whole_file(path) for path in weights)
    if not _is_json(folder / "config.json"):
        return False
    index = folder / "model.safetensors.index.json"
    if not index.is_file():
        return _is_whole_file(folder / "model.safetensors") or _is_whole_file(folder / "pytorch_model.bin")
    try:
        names = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
    except (OSError, ValueError, KeyError, AttributeError):
        return False
    return bool(names) and all(_is_whole_file(folder / name) for name in names)


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The rows of training data. Raises UsageError naming the line that is none."""
    rows = []
    try:
        for number, line in enumerate(path.read_text(encoding="utf-8").split("\n"), start=1):
            if line.strip():
                rows.append(_row(path, number, line))
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: the training data cannot be read: {error}") from error
    if not rows:
        raise UsageError(f"{path}: no training problems; render at least one")
    return rows


def _row(path: Path, number: int, line: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except ValueError as error:
        raise UsageError(f"{path}, line {number}: no JSON: {error}") from error
    if not isinstance(row, dict) or "input" not in row or not isinstance(row.get("label"), str):
        raise UsageError(f"{path}, line {number}: a row has an 'input' and a 'label' that is text")
    return row


def _is_json(path: Path) -> bool:
    try:
        json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return True


def _is_whole_file(path: Path) -> bool:
    """A safetensors file as long as its header says; of other formats only that there is something."""
    if path.suffix != ".safetensors":
        return path.is_file() and path.stat().st_size > 0
    header = _header(path)
    if header is None:
        return False
    ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
    with path.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        whole = 8 + int(length) + max(map(int, ends), default=0)
        return file.seek(0, os.SEEK_END) == whole


def _header(path: Path) -> dict[str, Any] | None:
    try:
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            if length > _HEADER_LIMIT:
                return None
            header = json.loads(file.read(length))
    except (OSError, struct.error, ValueError):
        return None
    return header if isinstance(header, dict) else None
