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

STDOUT = "-"

JsonTo = Annotated[str | None, typer.Option("--json", metavar="[FILE]", help="Write JSON to FILE; without FILE to standard output.")]

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)


def optional_file(arguments: Sequence[str]) -> list[str]:
    """Give `--json` its value where the command line leaves it out: the option parser knows no optional values."""
    result: list[str] = []
    rest = list(arguments)
    while rest:
        word = rest.pop(0)
        if word != "--json":
            result.append(word)
        elif rest and (rest[0] == STDOUT or _is_file(rest[0])):
            result.append(f"--json={rest.pop(0)}")
        else:
            result.append(f"--json={STDOUT}")
    return result


def _is_file(word: str) -> bool:
    """Tell a file's name from an id or a query: it has a dot or a slash, and no space."""
    return not word.startswith("-") and not any(c.isspace() for c in word) and ("." in word or "/" in word)


def write_json(target: str, value: Any) -> None:
    text = json.dumps(value, indent=2, default=str, ensure_ascii=False) + "\n"
    if target == STDOUT:
        sys.stdout.write(text)
        sys.stdout.flush()
    else:
        Path(target).write_text(text)


def show(json_to: str | None, value: Any, lines: Iterable[str] = ()) -> None:
    """Print the value as JSON where that is asked for, otherwise the lines."""
    if json_to is not None:
        write_json(json_to, value)
    if json_to != STDOUT:
        for line in lines:
            out.print(line)


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    grid = Table(title=title, title_justify="left")
    for column in columns:
        grid.add_column(column, overflow="fold")
    for row in rows:
        grid.add_row(*("" if cell is None else str(cell) for cell in row))
    out.print(grid)


def rows(json_to: str | None, title: str, columns: Sequence[str], records: Sequence[Mapping[str, Any]]) -> None:
    """Print records as a table of these columns, or all of them as JSON."""
    if json_to is not None:
        write_json(json_to, list(records))
    if json_to != STDOUT:
        table(title, columns, ([record.get(column) for column in columns] for record in records))
