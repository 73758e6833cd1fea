"""The generated pages and schemas are current, and every command, flag and task is on them."""

import importlib.util
import json
import re
from pathlib import Path

import click
import pytest

from rlvr_harness.cli import cli as root

ROOT = Path(__file__).parent.parent


def load(name):
    spec = importlib.util.spec_from_file_location(name, ROOT / ".ci" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


generate_docs, check_site = load("generate_docs"), load("check_site")
PAGES = generate_docs.pages()


@pytest.mark.parametrize("path", PAGES)
def test_a_generated_file_is_current(path):
    assert (ROOT / path).read_text(encoding="utf-8") == PAGES[path], "run python .ci/generate_docs.py"


def leaves(group, words=()):
    for name, command in group.commands.items():
        yield (*words, name), command
        if isinstance(command, click.Group):
            yield from leaves(command, (*words, name))


@pytest.mark.parametrize(("words", "command"), [pytest.param(*each, id=" ".join(each[0])) for each in leaves(root)])
def test_every_command_and_every_flag_of_it_is_documented(words, command):
    text = (ROOT / "docs" / "command-line.md").read_text(encoding="utf-8")
    title = re.escape(" ".join(words).replace("_", "-"))
    section = re.search(rf"^## {title}$(.*?)(?=^## |\Z)", text, re.DOTALL | re.MULTILINE)
    assert section, f"no section on {' '.join(words)}"
    hidden = [param.name for param in command.params if getattr(param, "hidden", False)]
    flags = [name for param in command.params if isinstance(param, click.Option) for name in param.opts]
    assert hidden == []
    listed = {
        flag for line in re.findall(r"^- `([^`]+)`", section[1], re.MULTILINE) for flag in re.split(r"[ ,]+", line)
    }
    assert set(flags) - listed == set()


def test_every_flag_says_what_it_is_for():
    options = [(words, p) for words, command in leaves(root) for p in command.params if isinstance(p, click.Option)]
    assert [f"{' '.join(words)} {option.opts}" for words, option in options if not option.help] == []


def test_every_task_folder_has_its_row():
    text = (ROOT / "docs" / "tasks.md").read_text(encoding="utf-8")
    names = {path.name for path in (ROOT / "tasks").iterdir() if path.is_dir()}
    assert set(re.findall(r"^\| \[(\w+)\]\(\.\./tasks/\1/README\.md\) \| [\d,]+ \|", text, re.MULTILINE)) == names


def test_schemas_lie_in_the_package_and_name_their_dialect():
    for name in ("results-1.json", "run-1.json"):
        content = json.loads((ROOT / "rlvr_harness" / "schemas" / name).read_text(encoding="utf-8"))
        assert content["$schema"].endswith("2020-12/schema")


@pytest.mark.parametrize(
    "markup",
    [
        '<script src="https://host/x.js"></script>',
        '<link rel="stylesheet" href="//host/x.css">',
        '<img src="http://host/x.png">',
        "<style>@import 'https://host/x.css';</style>",
        '<p style="background:url(//host/x.png)">',
        '<pre class="mermaid"></pre>',
    ],
)
def test_a_page_that_loads_from_another_host_is_reported(tmp_path, markup, capsys):
    (tmp_path / "page.html").write_text(f"<html>{markup}</html>")
    assert check_site.main(tmp_path) == 1
    assert "page.html: " in capsys.readouterr().out


def test_links_that_a_reader_follows_are_no_loads(tmp_path):
    (tmp_path / "page.html").write_text('<a href="https://host/">x</a><script src="assets/x.js"></script>')
    (tmp_path / "x.css").write_text("a { background: url(x.svg) }")
    assert check_site.main(tmp_path) == 0


def test_a_site_without_pages_is_an_error(tmp_path):
    assert check_site.main(tmp_path) == 1
