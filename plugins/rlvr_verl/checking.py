"""verl's own configuration files, held against the overrides of a command by the environment that will run it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rlvr_harness import run_script

# Finds the package without importing it. The defaults lists are resolved here, as Hydra may be absent; where it is
# there, it composes the same overrides once more, which also finds faults of their values.
_CHECK = """
import difflib, importlib.metadata, importlib.util, json, pathlib, re, sys

words = json.loads(sys.argv[1])
faults = []

def tell(version):
    print("CHECK" + json.dumps({"version": version, "faults": faults}))
    sys.exit()

spec = importlib.util.find_spec("verl")
if spec is None or not spec.submodule_search_locations:
    faults.append("verl is not installed")
    tell(None)
top = pathlib.Path(list(spec.submodule_search_locations)[0]) / "trainer" / "config"
try:
    version = importlib.metadata.version("verl")
except importlib.metadata.PackageNotFoundError:
    version = None
try:
    import yaml
except ImportError:
    faults.append("its configuration cannot be read without pyyaml")
    tell(version)

def merge(into, other):
    for name, value in other.items():
        if isinstance(value, dict) and isinstance(into.get(name), dict):
            merge(into[name], value)
        else:
            into[name] = value

def place(tree, package, what):
    for part in [part for part in package.split(".") if part]:
        tree = tree.setdefault(part, {})
        if not isinstance(tree, dict):
            return
    merge(tree, what)

def load(path, choices):
    held = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    listed = held.pop("defaults", [])
    tree, own = {}, False
    for entry in listed:
        if entry == "_self_":
            merge(tree, held)
            own = True
            continue
        group, package, name = "", "", entry
        if isinstance(entry, dict):
            (group, name), = entry.items()
            group = re.sub(r"^(optional|override) ", "", group)
            if name is None:
                continue
            group, _, package = group.partition("@")
            package = package or group.replace("/", ".")
        name = re.sub(r"[$][{]([^}]*)[}]", lambda match: str(choices.get(match[1], "")), str(name))
        if group and "@" not in str(entry) and path.parent == top:
            choices[group] = name
        beside = (path.parent / group / name).with_suffix(".yaml")
        found = beside if beside.is_file() else (top / group / name).with_suffix(".yaml")
        package = "" if package == "_global_" else package
        below = load(found, choices)
        if found.read_text(encoding="utf-8").startswith("# @package _global_"):
            package = ""
        place(tree, package, below)
    if not own:
        merge(tree, held)
    return tree

def names_of(tree, prefix=""):
    for name, value in tree.items():
        yield prefix + str(name)
        if isinstance(value, dict):
            yield from names_of(value, f"{prefix}{name}.")

try:
    tree = load(top / "ppo_trainer.yaml", {})
except (OSError, yaml.YAMLError) as error:
    faults.append(f"its configuration cannot be read: {error}")
    tell(version)
names = list(names_of(tree))
for word in words:
    sign = re.match(r"[+]{0,2}", word)[0]
    name = word[len(sign):].partition("=")[0]
    if name.startswith("hydra."):
        continue
    if sign == "" and name not in names:
        last = name.rpartition(".")[2]
        near = [other for other in names if other.rpartition(".")[2] == last]
        near += [other for other in difflib.get_close_matches(name, names, n=2, cutoff=0.8) if other not in near]
        faults.append([name, near[:2]])
    if sign == "+" and name in names:
        faults.append(f"{name} is there already; write it without +")
if not faults:
    try:
        from hydra import compose, initialize_config_dir
        from hydra.core.global_hydra import GlobalHydra
    except ImportError:
        tell(version)
    try:
        with initialize_config_dir(str(top), version_base=None):
            compose("ppo_trainer", overrides=words)
    except Exception as error:
        faults.append(f"{type(error).__name__}: " + " ".join(str(error).split())[:300])
tell(version)
"""


@dataclass(frozen=True)
class OverrideCheck:
    """What the installed verl says of overrides: faults as whole lines."""

    version: str | None = None
    faults: tuple[str, ...] = ()


def check_overrides(python: Path, words: Sequence[str]) -> OverrideCheck:
    """`words`: the arguments behind `verl.trainer.main_ppo`."""
    answer = run_script(python, _CHECK, [json.dumps(list(words))], "CHECK")
    if answer.fault:
        return OverrideCheck(faults=(f"verl's options could not be checked: {answer.fault}",))
    version = answer.found["version"]
    return OverrideCheck(version, tuple(_line(told, version) for told in answer.found["faults"]))


def _line(told: object, version: str | None) -> str:
    shown = f"verl {version or 'of unknown version'}"
    if isinstance(told, str):
        return f"{shown} refuses the command: {told}"
    name, near = told if isinstance(told, list) else ("?", [])
    hint = f"; did you mean {', '.join(near)}?" if near else "; leave it out"
    return f"{shown} has no option {name}{hint}"
