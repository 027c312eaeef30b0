"""How the command line is read and what it prints."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import typer

from cli import main as command_line
from cli.config import ConfigError
from cli.main import EXIT_CODES, program
from cli.output import openable, optional_file, rows, say, show, takes_arguments, write_json
from streams.harness.errors import Fatal, Retryable


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


COMMANDS = typer.main.get_command(program())


def leaves(command: Any = COMMANDS, path: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], Any]]:
    inner = getattr(command, "commands", None)
    return [(path, command)] if inner is None else [leaf for name, one in inner.items() for leaf in leaves(one, (*path, name))]


@pytest.mark.parametrize(
    ("given", "read"),
    [
        (["demo", "--json", "out", "--yes"], ["demo", "--json=out", "--yes"]),
        (["demo", "--json", "my results"], ["demo", "--json=my results"]),
        (["demo", "--yes", "--json"], ["demo", "--yes", "--json=-"]),
        (["incident", "ls", "--json", "out"], ["incident", "ls", "--json=out"]),
        (["incident", "show", "--json", "inc-1"], ["incident", "show", "--json=-", "inc-1"]),
        (["sql", "--json", "SELECT"], ["sql", "--json=-", "SELECT"]),
    ],
)
def test_a_command_without_arguments_takes_any_word_as_the_file(given: list[str], read: list[str]) -> None:
    assert optional_file(given, any_word=not takes_arguments(COMMANDS, given)) == read


def test_every_command_takes_json_has_an_example_and_says_its_exit_codes() -> None:
    found = leaves()
    assert len(found) > 15
    for path, command in found:
        assert "--json" in [option for parameter in command.params for option in parameter.opts], path
        assert "Example" in command.help, path
        assert command.epilog == EXIT_CODES, path


def test_the_file_is_opened_before_the_work_begins(tmp_path: Path) -> None:
    kept = tmp_path / "kept.json"
    kept.write_text("{}")
    assert openable(str(kept)) == str(kept)
    assert kept.read_text() == "{}"
    assert openable("-") == "-"
    assert openable(None) is None
    for wrong in (tmp_path / "nowhere" / "x.json", tmp_path):
        with pytest.raises(ConfigError, match="--json"):
            openable(str(wrong))


DATA = ["value '[/x]' is not a number", "[orders] latency", "a :bug: is [bold]no bug[/bold]"]


@pytest.mark.parametrize("data", DATA)
def test_what_is_data_is_printed_as_it_is(data: str, capsys: pytest.CaptureFixture[str]) -> None:
    show(None, {}, [data])
    rows(None, f"of {data}", ["detail", data], [{"detail": data}])
    say(data)
    shown = capsys.readouterr().out
    assert shown.count(data) == 5


def test_what_is_data_does_not_move_the_cursor(capsys: pytest.CaptureFixture[str]) -> None:
    show(None, {}, ["\x1b[2Jgone\x07\x9b"])
    rows(None, "", ["detail"], [{"detail": "\x1b]0;title"}])
    shown = capsys.readouterr().out
    assert "\\x1b[2Jgone\\x07\\x9b" in shown
    assert "\x1b" not in shown


@pytest.mark.parametrize(("error", "code"), [(Retryable("store: away"), 1), (Fatal("[no] broker"), 1), (ConfigError("wrong"), 2)])
def test_what_a_person_can_mend_is_one_line(
    error: Exception, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(args: list[str]) -> None:
        raise error

    monkeypatch.setattr(sys, "argv", ["airra", "doctor"])
    monkeypatch.setattr(command_line, "optional_file", lambda *_, **__: fails([]))
    with pytest.raises(SystemExit) as exited:
        command_line.main()
    assert exited.value.code == code
    assert capsys.readouterr().err == f"airra: {error}\n"
