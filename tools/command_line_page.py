"""Write docs/reference/command-line.md from the command line itself.

python tools/command_line_page.py docs/reference/command-line.md
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from enum import EnumType
from inspect import cleandoc
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import typer

from hilum.apps.cli.main import EXIT_CODES, RENAMED, REPLACED, VERBS, command_line
from hilum.core.files import write_text

TOP = """\
# The command line

`hilum VERB --help` says the same. Films, tables and recipes are named by their place; everything
else is an option, and an option means one thing in every verb. Answers go to standard output,
progress and errors to standard error: an error is one line and a hint. `--json` prints the answer
as JSON, without color or progress, and nothing else; the exit code is the same.

This page is written by `python tools/command_line_page.py docs/reference/command-line.md`.
"""

Leaf = tuple[str, Any]


def leaves(command: Any, path: str = "") -> Iterator[Leaf]:
    """Yield every verb that does something, as "cohort read", with its command."""
    inner = getattr(command, "commands", None)
    if inner is None:
        yield path, command
    for name, each in (inner or {}).items():
        yield from leaves(each, f"{path} {name}".strip())


def whole() -> Any:
    """Return the command line with every verb."""
    return typer.main.get_command(command_line([]))


def page() -> str:
    """Return the page."""
    command = whole()
    blocks = [TOP, _exit_codes(), *_groups(command), _old()]
    return "\n".join(blocks)


def _exit_codes() -> str:
    rows = [f"| {code} | {meaning} |" for code, meaning in EXIT_CODES.items()]
    return "\n".join(["## Exit codes\n", "| code | meaning |", "|---|---|", *rows, ""])


def _groups(command: Any) -> Iterator[str]:
    last = ""
    for name, (_, group) in VERBS.items():
        if group != last:
            yield f"## {group}\n"
        last, verb = group, command.commands[name]
        if hasattr(verb, "commands"):
            yield f"### hilum {name}\n\n{_markdown(verb.help)}\n"
            yield from (_verb(path, each, "####") for path, each in leaves(verb, name))
        else:
            yield _verb(name, verb, "###")


def _verb(path: str, command: Any, mark: str) -> str:
    words, _, example = cleandoc(command.help).partition("\b\nExample:\n")
    context = typer.Context(command, info_name=f"hilum {path}")
    given = [
        each for each in command.get_params(context) if not each.hidden and each.name != "help"
    ]
    places = [each for each in given if each.param_type_name == "argument"]
    options = [each for each in given if each.param_type_name == "option"]
    usage = " ".join([f"hilum {path}", *map(_place, places), *(["[OPTIONS]"] if options else [])])
    lines = [f"{mark} hilum {path}\n", f"```text\n{usage}\n```\n", f"{_markdown(words)}\n"]
    lines.append(f"```sh\n{cleandoc(example)}\n```\n")
    rows = [(f"`{_place(each)}`", each, context) for each in places]
    rows += [(_spelled(each), each, context) for each in options]
    if rows:
        lines += [
            "| | |",
            "|---|---|",
            *(f"| {name} | {_said(*rest)} |" for name, *rest in rows),
            "",
        ]
    return "\n".join(lines)


def _place(argument: Any) -> str:
    name = (argument.metavar or argument.name.upper()).strip("[]").removesuffix("...")
    name += "..." if argument.nargs == -1 else ""
    return name if argument.required else f"[{name}]"


def choices(option: Any) -> list[Any]:
    """Return the words that an option takes; none where it takes any."""
    kind = option.type_descriptor.annotation
    words = kind if isinstance(kind, EnumType) else get_args(kind) * (get_origin(kind) is Literal)
    return list(words)


def _spelled(option: Any) -> str:
    value = (
        "\\|".join(map(str, choices(option)))
        or option.metavar
        or option.opts[0].lstrip("-").upper()
    )
    names = [*option.opts, *option.secondary_opts]
    return ", ".join(f"`{name}`" if option.is_flag else f"`{name} {value}`" for name in names)


def _said(parameter: Any, context: Any) -> str:
    said = re.sub(r"([|*])", r"\\\1", parameter.help or "")
    default = parameter.get_default(context)
    if parameter.required and parameter.param_type_name == "option":
        said += " Required."
    elif not isinstance(default, bool) and default not in (None, "", (), []):
        said += f" Default: {default}."
    if parameter.envvar:
        said += f" Or {parameter.envvar}."
    return said


def _markdown(words: str) -> str:
    return re.sub(r"\[/?bold\]", "**", cleandoc(words)).strip()


def _old() -> str:
    rows = [f"| `hilum {old}` | {_quoted(new)} |" for old, new in REPLACED.items()]
    rows += [f"| `{old}` | {_quoted(new)} |" for old, new in RENAMED.items()]
    head = "Each answers with the new spelling and exit code 2 in 1.0.\n"
    return "\n".join(["## Spellings of 0.3.0\n", head, "| then | now |", "|---|---|", *rows, ""])


def _quoted(words: str) -> str:
    return re.sub(r"'([^']+)'", r"`\1`", words).replace("|", "\\|")


if __name__ == "__main__":
    write_text(Path(sys.argv[1]), page())
