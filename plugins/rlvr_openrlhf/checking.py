"""OpenRLHF's own parser and checks, run on a command before anything starts, by the environment that will run it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rlvr_harness import run_script

PARSER_FILE = "cli/train_ppo_ray.py"
# Needs nothing but the standard library: the package is found, never imported, and of its command line only the
# statements of the `__main__` block are executed, up to the call that would start the training.
_CHECK = """
import argparse, ast, datetime, difflib, importlib.metadata, importlib.util, json, pathlib, re, sys, types

relative, words = sys.argv[1], json.loads(sys.argv[2])
faults, notes = [], []

def tell(version):
    print("CHECK" + json.dumps({"version": version, "faults": faults, "notes": notes}))
    sys.exit()

class Refused(Exception):
    pass

def likeness(one, other):
    # Older versions had the same words in another order: --init_kl_coef is --algo.kl.init_coef.
    one, other = (set(re.split("[-._]+", name)) for name in (one, other))
    return len(one & other) / len(one | other)

class Parser(argparse.ArgumentParser):
    def __init__(self, *given, **named):
        # An abbreviated name would pass here and mean another option in the next version.
        super().__init__(*given, **{**named, "allow_abbrev": False, "add_help": False})

    def error(self, message):
        raise Refused(message)

    def parse_args(self, given=None, namespace=None):
        known, unknown = self.parse_known_args(words)
        names = list(self._option_string_actions)
        for word in unknown:
            if word.startswith("--"):
                name = word.partition("=")[0]
                near = difflib.get_close_matches(name, names, n=2, cutoff=0.8)
                alike = sorted(names, key=lambda other: -likeness(name, other))[:2]
                near += [other for other in alike if likeness(name, other) >= 0.5 and other not in near]
                faults.append([name, near[:2]])
        if unknown and not faults:
            faults.append([unknown[0], []])
        if faults:
            raise Refused("")
        return known

spec = importlib.util.find_spec("openrlhf")
if spec is None or not spec.submodule_search_locations:
    faults.append(["", "openrlhf is not installed"])
    tell(None)
folder = pathlib.Path(list(spec.submodule_search_locations)[0])
try:
    version = importlib.metadata.version("openrlhf")
except importlib.metadata.PackageNotFoundError:
    version = None
config = folder / "utils" / "config.py"
try:
    source = (folder / relative).read_text(encoding="utf-8")
    tree, lines = ast.parse(source), source.splitlines()
    nested = {}
    exec(compile(config.read_text(encoding="utf-8"), str(config), "exec"), nested)
except (OSError, SyntaxError) as error:
    faults.append(["", f"its command line cannot be read: {error}"])
    tell(version)
main = [node for node in tree.body if isinstance(node, ast.If) and "__main__" in ast.unparse(node.test)]
shim = types.SimpleNamespace(**{**vars(argparse), "ArgumentParser": Parser})
names = {"argparse": shim, "datetime": datetime.datetime, "hierarchize": nested["hierarchize"]}
names["print"] = lambda *said: notes.append(" ".join(map(str, said)))
parsed = False
for node in (main[0].body if main else []):
    text = "".join(lines[node.lineno - 1 : node.end_lineno])
    if isinstance(node, ast.Expr) and text.strip().startswith("train("):
        break
    if isinstance(node, ast.ImportFrom) and node.module == "openrlhf.utils.config":
        continue
    if parsed and "use_ms" in text:
        continue
    try:
        exec(compile(ast.Module([node], []), str(folder / relative), "exec"), names)
    except Refused as error:
        if str(error):
            faults.append(["", str(error)])
        break
    except Exception as error:
        faults.append(["", f"{type(error).__name__}: {error}" if not isinstance(error, AssertionError) else str(error)])
        break
    parsed = parsed or "parse_args" in text
if not parsed and not faults:
    faults.append(["", "its command line has no parser where 0.11 has it"])
tell(version)
"""


@dataclass(frozen=True)
class CommandCheck:
    """What the installed OpenRLHF says of a command: faults as whole lines, and its own warnings."""

    version: str | None = None
    faults: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def check_command(python: Path, words: Sequence[str]) -> CommandCheck:
    """`words`: the arguments behind `openrlhf.cli.train_ppo_ray`."""
    answer = run_script(python, _CHECK, [PARSER_FILE, json.dumps(list(words))], "CHECK")
    if answer.fault:
        return CommandCheck(faults=(f"OpenRLHF's options could not be checked: {answer.fault}",))
    version = answer.found["version"]
    lines = [_line(name, told, version) for name, told in answer.found["faults"]]
    return CommandCheck(version, tuple(lines), tuple(answer.found["notes"]))


def _line(name: str, told: object, version: str | None) -> str:
    shown = f"OpenRLHF {version or 'of unknown version'}"
    if not name:
        return f"{shown} refuses the command: {told}"
    near = ", ".join(map(str, told)) if isinstance(told, list) else ""
    hint = f"; did you mean {near}?" if near else "; leave it out"
    return f"{shown} has no option {name}{hint}"
