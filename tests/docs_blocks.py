"""The code blocks of README and docs, with the marks that stand before them.

A mark is an HTML comment on the line before the block, seen in the source and not on the page:

    <!-- not run: REASON -->     the block is only parsed
    <!-- run by: FILE -->        FILE, a test or a CI script, runs it
    <!-- file: NAME -->          the block is written to NAME, which later blocks of the page read

Any other block of a language that can run is run, but for pages with this mark, whose blocks are only parsed:

    <!-- no block of this page is run: REASON -->
"""

import re
import shlex
from dataclasses import dataclass, replace
from pathlib import Path

import click
import yaml

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
SHELL = {"bash", "sh", "console"}
RUN = {*SHELL, "python"}
PARSED = {"yaml", "json"}
KNOWN = {*RUN, *PARSED, "text", "sql", ""}
MARK = re.compile(r"<!-- (not run|run by|file): (\S.*?) -->")
PAGE_MARK = re.compile(r"^<!-- no block of this page is run: (\S.*?) -->$", re.MULTILINE)
FENCE = re.compile(r" {0,3}(`{3,}|~{3,}) *([\w+-]*)")
SEPARATORS = re.compile(r"&&|\|\||[;|\n]|\$\(|`")


@dataclass(frozen=True)
class Block:
    """A code block: where it begins, its language and text, and the mark before it."""

    page: str
    line: int
    language: str
    text: str
    mark: str = ""
    told: str = ""

    @property
    def place(self):
        return f"{self.page}:{self.line}"

    @property
    def runs(self):
        return self.language in RUN and not self.mark


def blocks_of(text, page="page"):
    """Fenced and indented code blocks of Markdown, in order; indented ones have no language and never run."""
    lines, found, at = text.splitlines(), [], 0
    while at < len(lines):
        fence = FENCE.match(lines[at])
        mark = MARK.fullmatch(lines[at - 1].strip()) if at else None
        if fence:
            end = at + 1
            while end < len(lines) and not re.fullmatch(rf" {{0,3}}{fence[1][0]}{{{len(fence[1])},}} *", lines[end]):
                end += 1
            told = mark.groups() if mark else ("", "")
            found.append(Block(page, at + 1, fence[2], "\n".join(lines[at + 1 : end]) + "\n", *told))
            at = end + 1
        elif lines[at].startswith("    ") and (at == 0 or not lines[at - 1].strip()):
            end = at
            while end < len(lines) and (lines[end].startswith("    ") or not lines[end].strip()):
                end += 1
            found.append(Block(page, at + 1, "", "\n".join(line[4:] for line in lines[at:end]) + "\n"))
            at = end
        else:
            at += 1
    return found


def page_blocks(path):
    text = path.read_text(encoding="utf-8")
    return marked(blocks_of(text, str(path.relative_to(ROOT))), text)


def marked(blocks, text):
    """The blocks of a page with the mark of the page itself, where it has one."""
    told = PAGE_MARK.search(text)
    return [replace(block, mark="not run", told=told[1]) if told and block.runs else block for block in blocks]


def spans_of(text):
    """Inline code of Markdown that calls the command, code blocks left out."""
    prose = re.sub(r"^ {0,3}(`{3,}).*?^ {0,3}\1", "", text, flags=re.DOTALL | re.MULTILINE)
    return [" ".join(span.split()) for span in re.findall(r"`(rlvr-harness [^`]+)`", prose)]


def calls_in(block):
    """The words behind `rlvr-harness` of every call in a block, in whatever stands around it."""
    if block.language == "yaml":
        return [words for text in _texts(list(yaml.safe_load_all(block.text))) for words in calls_in_shell(text)]
    return calls_in_shell(block.text)


def _texts(part):
    if isinstance(part, dict):
        part = list(part.values())
    return [text for item in part for text in _texts(item)] if isinstance(part, list) else [str(part)]


def calls_in_shell(text):
    calls = []
    for piece in SEPARATORS.split(re.sub(r"\\\n", " ", text)):
        lexer = shlex.shlex(piece, posix=True, punctuation_chars=False)
        lexer.whitespace_split = True
        words = []
        try:
            words = list(lexer)
        except ValueError:  # an apostrophe in prose or in a comment
            words = piece.split()
        names = [at for at, word in enumerate(words) if word.rpartition("/")[2] == "rlvr-harness"]
        if names and "pip" not in " ".join(words[: names[0]]) and words[names[0] + 1 :]:
            calls.append(_without_redirection(words[names[0] + 1 :]))
    return calls


def _without_redirection(words):
    kept = []
    for word in words:
        if word.startswith((">", "2>", "<", "&")):
            break
        kept.append(word.strip("[]").removesuffix(")"))
    return [word for word in kept if word not in ("...", "…")]


def fault_of(words, root):
    """What is wrong with a call, or None: command, options and named choices must exist; values are not judged."""
    command, context = root, click.Context(root, info_name="rlvr-harness", **root.context_settings)
    words = list(words)
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        name = words.pop(0).replace("-", "_")
        if name not in command.commands:
            return f"no command '{name}'"
        command = command.commands[name]
        context = click.Context(command, info_name=name, parent=context, **root.context_settings)
    try:
        given, rest, _ = command.make_parser(context).parse_args(words)
    except click.UsageError as error:
        return error.format_message()
    if rest:
        return f"too many words: {' '.join(rest)}"
    for param in command.params:
        value = given.get(param.name)
        if isinstance(param.type, click.Choice) and isinstance(value, str) and value.islower():
            wrong = [word for word in value.split("|") if word not in param.type.choices]
            if wrong:
                return f"'{wrong[0]}' is none of {', '.join(param.type.choices)}"
    return None
