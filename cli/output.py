"""What every command prints: a table or lines for people, one JSON document with `--json [FILE]`."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from cli.config import ConfigError
from streams.harness.errors import Fatal

STDOUT = "-"


def openable(target: str | None) -> str | None:
    """Open the file before the work begins: a result that took minutes must have its place."""
    if target is not None and target != STDOUT:
        try:
            with Path(target).open("a"):
                pass
        except OSError as error:
            raise ConfigError(f"--json {target}: {error.strerror or error}; name a file that can be written") from error
    return target


JsonTo = Annotated[
    str | None,
    typer.Option("--json", metavar="[FILE]", help="Write JSON to FILE; without FILE to standard output.", callback=openable),
]

# No markup and no emoji codes: what is shown is data, and data may hold [brackets] and :colons:.
# Into a file or a pipe tables are as wide as they need: rich would squeeze them into 80 columns.
PIPE_COLUMNS = 200
out = Console(highlight=False, soft_wrap=True, markup=False, emoji=False, width=None if sys.stdout.isatty() else PIPE_COLUMNS)
err = Console(stderr=True, highlight=False, soft_wrap=True, markup=False, emoji=False)


def optional_file(arguments: Sequence[str], *, any_word: bool = False) -> list[str]:
    """Give `--json` its value where the command line leaves it out: the option parser knows no optional values.

    `any_word`: the command takes no arguments, so whatever follows and is no option is the file.
    """
    result: list[str] = []
    rest = list(arguments)
    while rest:
        word = rest.pop(0)
        if word != "--json":
            result.append(word)
        elif rest and (rest[0] == STDOUT or _is_file(rest[0], any_word=any_word)):
            result.append(f"--json={rest.pop(0)}")
        else:
            result.append(f"--json={STDOUT}")
    return result


def _is_file(word: str, *, any_word: bool) -> bool:
    """Tell a file's name from an id or a query: it has a dot or a slash, and no space."""
    if word.startswith("-"):
        return False
    return any_word or (not any(c.isspace() for c in word) and ("." in word or "/" in word))


def takes_arguments(command: Any, words: Sequence[str]) -> bool:
    """Tell whether the command (as Click or Typer's own copy of it builds one) that these words name has arguments besides options."""
    for word in words:
        inner = getattr(command, "commands", {}).get(word)
        if inner is None:
            break
        command = inner
    return hasattr(command, "commands") or any(parameter.param_type_name == "argument" for parameter in command.params)


def write_json(target: str, value: Any, indent: int | None = 2) -> None:
    text = json.dumps(value, indent=indent, default=str, ensure_ascii=False) + "\n"
    if target == STDOUT:
        sys.stdout.write(text)
        sys.stdout.flush()
        return
    try:
        Path(target).write_text(text)
    except OSError as error:
        raise Fatal(f"--json {target}: {error.strerror or error}") from error


def say(line: str, console: Console = out) -> None:
    """Print a line of data."""
    console.print(printable(line))


def show(json_to: str | None, value: Any, lines: Iterable[str] = ()) -> None:
    """Print the value as JSON where that is asked for, otherwise the lines."""
    if json_to is not None:
        write_json(json_to, value)
    if json_to != STDOUT:
        for line in lines:
            say(line)


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    out.print(grid(title, columns, rows))


def grid(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Table:
    """Return a table of data, to be printed."""
    result = Table(title=title, title_justify="left")
    for column in columns:
        result.add_column(column, overflow="fold")
    for row in rows:
        result.add_row(*("" if cell is None else printable(str(cell)) for cell in row))
    return result


def rows(json_to: str | None, title: str, columns: Sequence[str], records: Sequence[Mapping[str, Any]]) -> None:
    """Print records as a table of these columns, or all of them as JSON."""
    if json_to is not None:
        write_json(json_to, list(records))
    if json_to != STDOUT:
        table(title, columns, ([record.get(column) for column in columns] for record in records))


def printable(text: str) -> str:
    """Spell out control characters: what came from a topic must not move the cursor of whoever reads it."""
    return "".join(c if c.isprintable() or c in "\n\t" else c.encode("unicode_escape").decode() for c in text)
