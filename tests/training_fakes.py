"""Unpacked wheels of training frameworks, and an interpreter that sees them beside GPUs that are only told of."""

import json
import os
import struct
import sys
import zipfile
from pathlib import Path

import pytest

WHEELS_VARIABLE = "RLVR_TRAINING_WHEELS"


def unpacked(name, folder):
    """The wheel's packages below the folder, as pip would lay them out; skips where there is no wheel."""
    places = os.environ.get(WHEELS_VARIABLE)
    if not places:
        pytest.skip(f"{WHEELS_VARIABLE} names no folder with the wheel of {name}")
    found = sorted(Path(places).glob(f"{name}-*.whl"))
    if not found:
        pytest.skip(f"no wheel of {name} in {places}")
    with zipfile.ZipFile(found[0]) as wheel:
        for entry in wheel.infolist():
            place = entry.filename.partition(".data/purelib/")[2] or entry.filename
            if not entry.is_dir() and (place.startswith((f"{name}/", f"{name}-"))):
                target = folder / place
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(wheel.read(entry))
    return folder


def interpreter(folder, site, packages=(), gpu_mib=()):
    """A script that runs this Python with `site` and empty packages of these names, told of GPUs by nvidia-smi."""
    stubs = folder / "stubs"
    for name in packages:
        (stubs / name).mkdir(parents=True, exist_ok=True)
        (stubs / name / "__init__.py").write_text("raise ImportError('not a package to import')\n")
    programs = folder / "programs"
    programs.mkdir(parents=True)
    lines = "\n".join(str(one) for one in gpu_mib)
    _script(programs / "nvidia-smi", f"cat <<'END'\n{lines}\nEND\n")
    places = f"{stubs}:{site}:${{PYTHONPATH:-}}"
    _script(folder / "python", f'PYTHONPATH="{places}" PATH="{programs}:$PATH" exec "{sys.executable}" "$@"\n')
    return folder / "python"


def _script(path, text):
    path.write_text(f"#!/bin/sh\n{text}")
    path.chmod(0o755)


def safetensors(path, shapes, short_by=0, dtype="BF16"):
    """A safetensors file of zeros with two bytes a number; `short_by` bytes are left out at its end."""
    header, end = {}, 0
    for name, shape in shapes.items():
        size = 2
        for one in shape:
            size *= one
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [end, end + size]}
        end += size
    text = json.dumps(header).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes((struct.pack("<Q", len(text)) + text + bytes(end))[: 8 + len(text) + end - short_by])


def checkpoint(folder, short_by=0, tokenizer=True):
    """A folder shaped as transformers leaves it."""
    safetensors(folder / "model.safetensors", {"w": [2, 3]}, short_by)
    (folder / "config.json").write_text("{}")
    if tokenizer:
        (folder / "tokenizer_config.json").write_text("{}")
    return folder


def adapter(folder, tokenizer=True):
    """A folder shaped as PEFT leaves it."""
    safetensors(folder / "adapter_model.safetensors", {"w": [2, 3]})
    (folder / "adapter_config.json").write_text("{}")
    if tokenizer:
        (folder / "tokenizer_config.json").write_text("{}")
    return folder
