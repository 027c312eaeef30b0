"""`airra ingest check --file --header`: what only a record's headers tell; and a schema registry that is away."""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.main import WRONG_USAGE, main
from tests.golden.messages import messages
from tests.unit.confluent_schemas import frame
from tests.unit.schema_registry import FakeRegistry
from tests.unit.test_ingest import CHECK, Message, hold, look, name_formats, run

UP = b"up,service=cart value=1"
EVENT = {"specversion": "1.0", "id": "1", "source": "/cart", "type": "load"}
DOCUMENT = b'{"service": "cart", "value": 0.5}'
MAPPING = {"format": "confluent", "metrics": [{"name": "up", "value": "$.value"}], "labels": {"service": "$.service"}}


def with_headers(**told: str) -> list[str]:
    return [word for name, value in told.items() for word in ("--header", f"{name.replace('content_type', 'content-type')}={value}")]


BINARY = with_headers(**{f"ce_{name}": value for name, value in EVENT.items()})


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeRegistry]:
    with FakeRegistry() as fake:
        fake.tell("/schemas/ids/7", schema="{}", schemaType="JSON")
        monkeypatch.setenv("AIRRA_REGISTRY_URL", fake.url)
        name_formats(tmp_path, monkeypatch, metrics=MAPPING)
        yield fake


# headers


def test_a_binary_cloudevent_is_read_as_what_is_in_it(tmp_path: Path) -> None:
    otlp = messages("otel-python", "cumulative")[0].value
    code, told = look(tmp_path, otlp, *BINARY, *with_headers(content_type="application/x-protobuf", **{"airra.backfill": "1"}))
    assert (code, told["fates"]) == (0, {"accepted": 1})
    assert {one["format"] for one in told["samples"]} == {"otlp"}
    assert "shop.orders" in {one["labels"]["__name__"] for one in told["series"]}


def test_a_binary_cloudevent_gives_its_time_to_a_sample_that_has_none(tmp_path: Path) -> None:
    code, told = look(tmp_path, UP, *BINARY, *with_headers(ce_time="2018-04-05T03:56:24Z"))
    assert (code, told["refused"][0]["reason"]) == (1, "timestamp_out_of_range")
    assert "1522900584000 ms" in told["refused"][0]["detail"]


def test_a_binary_cloudevent_of_another_version_says_so(tmp_path: Path) -> None:
    code, told = look(tmp_path, UP, *BINARY, *with_headers(ce_specversion="0.3"))
    assert code == 1
    assert "CloudEvents of specversion '0.3'" in told["refused"][0]["detail"]


def test_a_structured_cloudevent_is_told_by_its_content_type(tmp_path: Path) -> None:
    event = json.dumps({**EVENT, "data_base64": base64.b64encode(UP).decode()}).encode()
    code, told = look(tmp_path, event, *with_headers(content_type="application/cloudevents+json; charset=UTF-8"))
    assert (code, told["fates"]) == (0, {"accepted": 1})
    assert [(one["service"], one["metric"]) for one in told["series"]] == [("cart", "up")]
    assert look(tmp_path, event)[1]["fates"] == {"dead_letter": 1}  # it is the header that tells


def test_a_content_type_says_of_what_formats_a_record_is(tmp_path: Path) -> None:
    code, told = look(tmp_path, UP, *with_headers(content_type="application/x-protobuf"))
    assert (code, told["fates"]) == (1, {"dead_letter": 1})
    assert "of no format that its content-type names: otlp: " in told["refused"][0]["detail"]


def test_a_record_may_name_its_format(tmp_path: Path) -> None:
    code, told = look(tmp_path, UP, *with_headers(**{"airra.format": "influxdb"}))
    assert (code, told["refused"][0]["detail"]) == (1, "airra.format 'influxdb' is no format")


def test_the_id_of_a_schema_may_stand_in_a_header(tmp_path: Path, registry: FakeRegistry) -> None:
    code, told = look(tmp_path, DOCUMENT, "--header", r"__value_schema_id=\x00\x00\x00\x00\x07")
    assert (code, told["fates"]) == (0, {"accepted": 1})
    assert [one["labels"] for one in told["series"]] == [{"__name__": "up", "service": "cart"}]
    assert registry.asked == ["/schemas/ids/7"]


def test_only_what_is_spelt_as_a_byte_is_one(tmp_path: Path) -> None:
    text = r"a=\x41 \xg1\n é"
    _, told = look(tmp_path, UP, "--header", r"airra.format=a=\x5cx41 \xg1\n é")
    assert told["refused"][0]["detail"] == f"airra.format {text!r} is no format"


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["--file", __file__, "--header", "content-type"], "airra: --header content-type: it has to be NAME=VALUE"),
        (["--file", __file__, "--header", "=x"], "airra: --header =x: it has to be NAME=VALUE"),
        (["--header", "a=b"], "airra: --header is of a --file"),
    ],
)
def test_a_header_that_is_none_is_wrong_usage(
    more: list[str], says: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["airra", *CHECK, *more])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == WRONG_USAGE
    assert says in capsys.readouterr().err


# a registry that is away


def test_a_record_whose_schema_nobody_gives_now_waits_and_the_others_are_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, registry: FakeRegistry
) -> None:
    registry.tell("/schemas/ids/8", 503)
    hold(
        monkeypatch,
        [Message(0, frame(DOCUMENT, 7)), Message(1, frame(DOCUMENT, 8)), Message(2, frame(b'{"service": "till", "value": 1}', 7))],
    )
    code, told = run(tmp_path)

    assert (code, told["records"], told["fates"]) == (1, 3, {"accepted": 2, "waits": 1})
    (waiting,) = told["waiting"]
    assert (waiting["record"], waiting["reason"]) == ("0@1", f"{registry.url}/schemas/ids/8 answered 503")
    assert [one["service"] for one in told["series"]] == ["cart", "till"]
    assert told["refused"] == []
    for word in ("2 accepted, 1 waits", "0@1", "answered 503", "till"):
        assert word in told["shown"]


def test_a_file_whose_registry_is_not_there_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, registry: FakeRegistry) -> None:
    monkeypatch.setenv("AIRRA_REGISTRY_URL", "http://login:secret@127.0.0.1:9")
    code, told = look(tmp_path, frame(DOCUMENT, 7))
    assert (code, told["fates"], told["series"]) == (1, {"waits": 1}, [])
    assert told["waiting"][0]["reason"].startswith("http://127.0.0.1:9/schemas/ids/7: Connect")
    assert "secret" not in told["shown"]
