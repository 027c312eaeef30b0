"""`airra ingest check`: what is read of a record, why not, and which series would be made."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli import ingest
from cli.main import program
from streams.harness.stage import Headers

CHECK = ["ingest", "check", "--topic", "metrics"]
SHIPPED = {"AIRRA_CONFIG_DIR": str(Path(__file__).parents[2] / "config")}


def run(tmp_path: Path, *more: str) -> tuple[int, dict]:
    """Return the exit code and what is told as JSON, with what people are shown as `shown`."""
    out = tmp_path / "out.json"
    result = CliRunner().invoke(program(), [*CHECK, f"--json={out}", *more], env=SHIPPED, catch_exceptions=False)
    return result.exit_code, json.loads(out.read_text()) | {"shown": result.output}


def look(tmp_path: Path, record: bytes, *more: str) -> tuple[int, dict]:
    path = tmp_path / "record"
    path.write_bytes(record)
    return run(tmp_path, "--file", str(path), *more)


def name_formats(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, **topics: object) -> None:
    """Have the formats of these topics in formats.yaml."""
    path = tmp_path / "formats.yaml"
    path.write_text(json.dumps({"topics": topics}))
    monkeypatch.setenv("AIRRA_FORMATS_FILE", str(path))


def test_what_is_read_and_which_series_would_be_made(tmp_path: Path) -> None:
    code, told = look(tmp_path, b"up,service=cart value=1\nshoes,service=cart size=43\n")
    assert code == 0
    assert (told["records"], told["fates"], told["refused"]) == (1, {"accepted": 1}, [])
    assert told["samples"] == [
        {"format": "influx", "fate": "accepted", "samples": 1},
        {"format": "influx", "fate": "unmapped", "samples": 1},
    ]
    shoes, up = told["series"]
    assert (shoes["metric"], shoes["mapped"]) == ("shoes_size", False)
    assert (up["metric"], up["service"], up["kind"], up["mapped"]) == ("up", "cart", "up", True)
    assert up["labels"] == {"__name__": "up", "service": "cart"}


def test_what_is_not_read_says_why_and_ends_with_1(tmp_path: Path) -> None:
    code, told = look(tmp_path, b"up value=1\n")
    assert code == 1
    (refused,) = told["refused"]
    assert refused["reason"] == "no_service"
    assert "up: none of the labels service" in refused["detail"]
    assert refused["begins"] == repr(b"up value=1\n")


def test_for_people_it_is_a_table(tmp_path: Path) -> None:
    (tmp_path / "record").write_bytes(b"up,service=cart value=1")
    result = CliRunner().invoke(program(), [*CHECK, "--file", str(tmp_path / "record")], env=SHIPPED)
    assert result.exit_code == 0
    assert "1 records of metrics: 1 accepted" in result.output


def test_a_topics_own_format_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name_formats(tmp_path, monkeypatch, metrics={"format": "otlp"})
    code, told = look(tmp_path, b"up,service=cart value=1")
    assert (code, told["fates"]) == (1, {"dead_letter": 1})


class Message:
    """What the client gives of a record of a topic."""

    def __init__(self, offset: int, value: bytes | None, headers: Headers = ()) -> None:
        self._offset, self._value, self._headers = offset, value, headers

    def topic(self) -> str:
        return "metrics"

    def partition(self) -> int:
        return 0

    def offset(self) -> int:
        return self._offset

    def timestamp(self) -> tuple[int, int]:
        return 1, int(time.time() * 1000)  # the command's own clock: a week later it would be stale

    def key(self) -> bytes | None:
        return b"k"

    def value(self) -> bytes | None:
        return self._value

    def headers(self) -> list[tuple[str, bytes | None]]:
        return [("trace", b"1"), ("none", None), *self._headers]


def hold(monkeypatch: pytest.MonkeyPatch, records: Sequence[Message]) -> None:
    """Have these records in the topic."""
    monkeypatch.setattr(ingest, "check", lambda _, topics: dict.fromkeys(topics, 1))
    monkeypatch.setattr(ingest, "messages", lambda *_, **__: iter(records))


def test_of_a_record_without_a_value_it_says_what_normalise_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hold(monkeypatch, [Message(0, None), Message(1, b""), Message(2, b"up,service=a value=1")])
    code, told = run(tmp_path)

    assert (code, told["records"], told["fates"]) == (1, 3, {"accepted": 1, "dead_letter": 2})
    without, empty = told["refused"]
    assert (without["record"], without["reason"], without["detail"]) == ("0@0", "not_json", "the record has no value")
    assert empty["record"] == "0@1"
    assert empty["detail"] != without["detail"]
