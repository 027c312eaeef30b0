"""How the command line is read and what it prints."""

import json
from pathlib import Path

import pytest

from cli.output import optional_file, write_json


@pytest.mark.parametrize(
    ("given", "read"),
    [
        (["demo", "--json"], ["demo", "--json=-"]),
        (["demo", "--json", "--yes"], ["demo", "--json=-", "--yes"]),
        (["demo", "--json", "out.json", "--yes"], ["demo", "--json=out.json", "--yes"]),
        (["demo", "--json", "/tmp/out"], ["demo", "--json=/tmp/out"]),
        (["demo", "--json", "-"], ["demo", "--json=-"]),
        (["incident", "show", "--json", "inc-1"], ["incident", "show", "--json=-", "inc-1"]),
        (["sql", "--json", "SELECT 1.5"], ["sql", "--json=-", "SELECT 1.5"]),
        (["sql", "--json", "SELECT 1"], ["sql", "--json=-", "SELECT 1"]),
        (["sql", "SELECT 1", "--json=out"], ["sql", "SELECT 1", "--json=out"]),
    ],
)
def test_json_takes_a_file_or_none(given: list[str], read: list[str]) -> None:
    assert optional_file(given) == read


def test_json_goes_to_the_file(tmp_path: Path) -> None:
    write_json(str(tmp_path / "x.json"), {"a": 1})
    assert json.loads((tmp_path / "x.json").read_text()) == {"a": 1}
