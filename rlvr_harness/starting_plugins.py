"""`new-plugin`: a copy of the plugin template under a name of its own."""

from __future__ import annotations

import importlib.util
import re
import shlex
from pathlib import Path

from rlvr_harness.errors import HarnessError, UsageError
from rlvr_harness.registry import load_working

PACKAGE_FOLDER = Path(__file__).parent
NAME = re.compile(r"[a-z][a-z0-9]*([-_][a-z0-9]+)*")  # my-task2; what a distribution and a module may both be called
LONGEST_NAME = 30
"""Longer names would break the lines of the copy."""
_WORDS = re.compile(r"rlvr-harness-template|template")
_NOT_COPIED = re.compile(r"__pycache__|\.(pytest|ruff|mypy)_cache|build|dist|runs|\.venv.*|.*\.egg-info")
"""What working in the template leaves there; its .gitignore names the same."""


def template_folder() -> Path:
    """The template, in an installed copy or in the checkout."""
    for folder in (PACKAGE_FOLDER / "plugin_template", PACKAGE_FOLDER.parent / "plugins" / "template"):
        if (folder / "pyproject.toml").is_file():
            return folder
    raise HarnessError("the plugin template is not where it was installed; reinstall rlvr-harness")


def start(name: str, target: Path | None = None) -> list[str]:
    """Writes the plugin and says what to do next. Raises UsageError for a bad or taken name, or a folder in use."""
    word = name.replace("-", "_")
    _check_name(name)
    _check_free(name, word)
    folder = target or Path(f"rlvr-harness-{name.replace('_', '-')}")
    try:
        _check_folder(folder)
        written = _copy(name, folder)
    except OSError as error:
        raise UsageError(f"{folder}: cannot write the plugin: {error.strerror or error}; choose another -o") from error
    return [
        f"wrote {folder}: {written} files; package rlvr_{word}, entry point {word}",
        "next:",
        f"  cd {shlex.quote(str(folder))}",
        "  pip install -e '.[test]'",
        "  pytest",
        "  rlvr-harness ls plugins",
        f"  rlvr-harness validate {word}",
        f"  rlvr-harness run --model demo/base --tasks {word} --k 8 --n 8 --limit 4 -o runs/first",
    ]


def renamed(text: str, name: str) -> str:
    """The text with the template's name replaced: the distribution is spelled with `-`, all else with `_`."""
    dashed, word = name.replace("_", "-"), name.replace("-", "_")
    return _WORDS.sub(lambda match: f"rlvr-harness-{dashed}" if match[0] != "template" else word, text)


def _copy(name: str, folder: Path) -> int:
    source, written = template_folder(), 0
    for path in sorted(source.rglob("*")):
        relative = path.relative_to(source)
        if not path.is_file() or any(map(_NOT_COPIED.fullmatch, relative.parts)):
            continue
        copy = folder / renamed(str(relative), name)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text(renamed(path.read_text(encoding="utf-8"), name), encoding="utf-8")
        written += 1
    return written


def _check_name(name: str) -> None:
    if not NAME.fullmatch(name) or len(name) > LONGEST_NAME:
        raise UsageError(
            f"'{name}' cannot name a plugin: up to {LONGEST_NAME} lower-case letters, digits and single - or _, "
            "beginning with a letter, as in my-task"
        )


def _check_free(name: str, word: str) -> None:
    """Raises UsageError for the name of an installed plugin, of its module, or of anything that a plugin offers."""
    registry, broken = load_working()
    for plugin in (*registry.plugins, *(one.plugin for one in broken)):
        if plugin.name.replace("-", "_") == word:
            raise UsageError(
                f"plugin '{plugin.name}' is installed already, from {plugin.distribution}; choose another name"
            )
    if importlib.util.find_spec(f"rlvr_{word}") is not None:
        raise UsageError(f"'{name}': a package rlvr_{word} is installed already; choose another name")
    for kind in ("task", "verifier"):
        if owner := registry.providers[kind].get(word):
            raise UsageError(f"'{name}': plugin '{owner}' offers a {kind} of that name; choose another name")


def _check_folder(folder: Path) -> None:
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder} exists and is no empty folder; choose another with -o")
