"""Writes what docs and schemas repeat from the code: command line, tasks, JSON Schemas. `--check` only compares.

docs/command-line.md and docs/tasks.md are read on the repository's own pages too, so they are committed.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import yaml
from pydantic import TypeAdapter

ROOT = Path(__file__).parent.parent
if __name__ == "__main__":
    sys.path[:0] = [str(ROOT), str(ROOT / "plugins"), str(ROOT / "sandbox")]

from rlvr_harness.cli import cli  # noqa: E402
from rlvr_harness.presets import PRESETS  # noqa: E402
from rlvr_harness.schemas.results import Results  # noqa: E402
from rlvr_harness.schemas.run import RunFile  # noqa: E402

NOTE = "<!-- Written by `python .ci/generate_docs.py`; change the code, not this file. -->"
DIALECT = "https://json-schema.org/draft/2020-12/schema"
ROW = re.compile(r"^\| (.+?) \| (.+) \|$", re.MULTILINE)


def pages() -> dict[str, str]:
    """Path -> content of every generated file."""
    return {
        "docs/command-line.md": command_line(),
        "docs/tasks.md": tasks(),
        "rlvr_harness/schemas/results-1.json": schema(Results, "results.json of rlvr-harness"),
        "rlvr_harness/schemas/run-1.json": schema(RunFile, "run.json of rlvr-harness"),
    }


def commands(group: click.Group = cli, path: tuple[str, ...] = ()) -> Iterator[tuple[str, click.Command]]:
    """Every command with the words that call it, in the order of `--help`; names as users type them."""
    for name in group.list_commands(click.Context(group)):
        command, words = group.commands[name], (*path, name.replace("_", "-"))
        yield " ".join(words), command
        if isinstance(command, click.Group):
            yield from commands(command, words)


def command_line() -> str:
    """docs/command-line.md."""
    lines = [
        *(NOTE, "# Command line", ""),
        "Results go to stdout, all else to stderr. The exit status is 0 when the work is done, 1 when it failed, 2 for",
        "a wrong command line. In names of commands and options `-` and `_` are the same. `--help` works everywhere.",
        "",
    ]
    for words, command in commands():
        context = click.Context(command, info_name=f"rlvr-harness {words}", **command.context_settings)
        usage = " ".join(command.collect_usage_pieces(context))
        lines += [f"## {words}", "", plain(command.help or ""), ""]
        lines += ["```text", f"rlvr-harness {words} {usage}", "```", ""]
        records = [option.get_help_record(context) for option in command.params if isinstance(option, click.Option)]
        options = [record for record in records if record is not None]
        lines += [f"- `{flags}`: {plain(text)}" if text else f"- `{flags}`" for flags, text in options]
        if isinstance(command, click.Group):
            lines += [f"- `{name}`: {plain(each.get_short_help_str(200))}" for name, each in command.commands.items()]
        lines.append("")
    return "\n".join(lines)


def plain(text: str) -> str:
    """Text of a docstring or help line as one line of Markdown; `<` would begin HTML. "a\\n b <c>" -> "a b &lt;c>"."""
    return " ".join(text.split()).replace("<", "&lt;")


def tasks() -> str:
    """docs/tasks.md: a row a task from its YAML and README, and the presets."""
    lines = [
        *(NOTE, "# Tasks", ""),
        "Each task lies in a folder under `tasks/`: YAML that lm-eval reads, and a README on prompt, answer and data.",
        "Data comes from the Hub at the revision that the YAML names, or from a local copy with `--data_dir`.",
        "`rlvr-harness validate TASK` checks every gold of a task against its verifier.",
        "",
        "| task | problems | what it is | licence | verifier | presets |",
        "|---|--:|---|---|---|---|",
    ]
    for folder in sorted(path.parent for path in (ROOT / "tasks").glob("*/*.yaml")):
        lines.append(task_row(folder))
    lines += ["", "Beside these: `lm_eval:NAME` for any `generate_until` task of lm-eval, `reasoning_gym:NAME` for the"]
    lines += ["generators of reasoning-gym (extra `reasoning-gym`), and tasks of plugins."]
    lines += ["`rlvr-harness ls tasks` lists all that is installed.", ""]
    lines += ["## Presets", "", "`--preset NAME` stands for these tasks; the number is the samples per problem.", ""]
    lines += ["| preset | tasks | why |", "|---|---|---|"]
    for preset in PRESETS.values():
        lines.append(f"| `{preset.name}` | {', '.join(f'`{task}`' for task in preset.tasks)} | {preset.description} |")
    return "\n".join([*lines, ""])


def task_row(folder: Path) -> str:
    """The row of one task."""
    name = folder.name
    config = yaml.safe_load((folder / f"{name}.yaml").read_text(encoding="utf-8"))
    facts = dict(ROW.findall((folder / "README.md").read_text(encoding="utf-8")))
    presets = [p.name for p in PRESETS.values() if any(re.split("[:@]", task)[0] == name for task in p.tasks)]
    problems = re.match(r"\d+(,\d+)*", facts["Problems"])
    return (
        f"| [{name}](../tasks/{name}/README.md) | {problems[0] if problems else ''} "
        f"| {plain(config['metadata']['description'])} | {facts['Licence']} "
        f"| `{config['metadata']['verifier']}` | {', '.join(f'`{preset}`' for preset in presets)} |"
    )


def schema(shape: Any, title: str) -> str:
    """The JSON Schema of a shape, without what only repeats the keys."""
    made = tidy(TypeAdapter(shape).json_schema())
    return json.dumps({"$schema": DIALECT, "title": title, **made}, indent=1, ensure_ascii=False) + "\n"


def tidy(part: Any) -> Any:
    """The schema without `title` and `default` keywords; properties of these names stay. Patterns hold for all keys."""
    if isinstance(part, list):
        return [tidy(item) for item in part]
    if not isinstance(part, dict):
        return part
    closed = {"additionalProperties": False} if "patternProperties" in part else {}
    noise = {"title": str, "default": type(None)}
    kept = {key: tidy(value) for key, value in part.items() if not isinstance(value, noise.get(key, ()))}
    return kept | closed


def main() -> int:
    """Writes the files, or with --check names those that are not current."""
    stale = {path: content for path, content in pages().items() if not same(ROOT / path, content)}
    for path, content in stale.items():
        if "--check" in sys.argv:
            print(f"{path} is not current; run python .ci/generate_docs.py")
            continue
        (ROOT / path).write_text(content, encoding="utf-8")
        print(f"wrote {path}")
    return int("--check" in sys.argv and bool(stale))


def same(path: Path, content: str) -> bool:
    """Whether the file holds this content."""
    return path.is_file() and path.read_text(encoding="utf-8") == content


if __name__ == "__main__":
    sys.exit(main())
