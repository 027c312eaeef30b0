"""The question at the terminal: where it is written, and what leaving it means."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import typer

from cli.demo import asking as questions
from cli.demo import command
from cli.demo.asking import asking
from cli.output import err, out
from schemas.kinds import Mode
from tests.api_world import proposal

RUN: Any = SimpleNamespace(stack=SimpleNamespace(address=lambda *_: 8080, operator_token="t"))


@pytest.mark.parametrize("on_error", [True, False])
def test_the_question_goes_where_the_json_does_not(
    on_error: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: dict[str, Any] = {}

    def prompt(_: str, **options: Any) -> str:
        asked.update(options)
        return "yes"

    monkeypatch.setattr(questions.typer, "prompt", prompt)
    assert asking(err if on_error else out)(RUN, proposal()) is Mode.LIVE
    said = capsys.readouterr()
    assert asked["err"] is on_error
    assert ("inventory leaks memory" in said.err, "inventory leaks memory" in said.out) == (on_error, not on_error)


@pytest.mark.parametrize(("answer", "mode"), [("d", Mode.DRY_RUN), ("p", None), ("", None), ("n", None)])
def test_only_a_yes_or_a_dry_run_approves(answer: str, mode: Mode | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(questions.typer, "prompt", lambda *_, **__: answer)
    assert asking(err)(RUN, proposal()) is mode


@pytest.mark.parametrize("left", [typer.Abort, KeyboardInterrupt])
def test_leaving_the_question_is_an_interruption(left: type[BaseException], capsys: pytest.CaptureFixture[str]) -> None:
    def run() -> dict[str, Any]:
        raise left

    with pytest.raises(typer.Exit) as exited:
        command._result(SimpleNamespace(run=run))  # type: ignore[arg-type]
    assert exited.value.exit_code == 130
    assert "interrupted; everything was stopped" in capsys.readouterr().err


def test_a_folder_that_cannot_be_kept_and_a_time_that_is_none_are_wrong_usage(tmp_path: Path) -> None:
    from cli.config import ConfigError

    for seconds in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(ConfigError, match="--seconds"):
            command.demo(fault="none", seconds=seconds)
    with pytest.raises(ConfigError, match="--keep"):
        command.demo(fault="none", keep=Path("/proc/x"))
