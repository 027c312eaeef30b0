"""Formats of snapshots and versions of records: what this release reads it reads, and what it does not it refuses, never guesses."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from schemas.base import SCHEMA, SCHEMA_HEADER, canonical
from schemas.signals import SIGNALS, Tick
from streams.harness import exits
from streams.harness.consumer import CorrectedConsumer
from streams.harness.contiguous import Contiguous
from streams.harness.emit import emit, parse, refuse_unknown
from streams.harness.errors import Poison, Unfit
from streams.harness.exits import EXIT_UNFIT, boundary, refuse
from streams.harness.fetched import Bounds
from streams.harness.fold import restore
from streams.harness.snapshots import Snapshot, decode, encode
from streams.harness.stage import Record, Stage
from tests.unit.detect_feed import CONFIG

TICK = canonical(Tick(at=5))


def record(*headers: tuple[str, bytes]) -> Record:
    return Record("airra.signals.v1", 0, 1, 5, None, TICK, headers)


def in_format(number: int, **reads: Any) -> Stage[Any]:
    return Stage(
        "one", "log", lambda data: data, lambda *_: [], bytes, format=number, reads={int(key[1:]): to for key, to in reads.items()}
    )


def test_a_snapshot_says_its_stages_format_and_one_that_does_not_is_of_the_first() -> None:
    assert decode(dict(encode(0, 1, Snapshot(7, 1, b"state", 3))), 0) == Snapshot(7, 1, b"state", 3)
    (chunk, (key, manifest)) = encode(0, 1, Snapshot(7, 1, b"state", 3))
    told = json.loads(manifest)
    before = {name: told[name] for name in ("generation", "offset", "chunks", "crc")}  # as releases wrote it that told no format
    assert decode({chunk[0]: chunk[1], key: json.dumps(before).encode()}, 0) == Snapshot(7, 1, b"state", 1)


def test_a_snapshot_that_is_laid_out_as_this_release_cannot_read_is_refused_even_beside_one_that_it_can() -> None:
    table = dict(encode(0, 1, Snapshot(7, 1, b"state")))
    (*_, (key, manifest)) = encode(0, 2, Snapshot(9, 2, b"newer"))
    table[key] = json.dumps({**json.loads(manifest), "format": 2, "chunks": "elsewhere"}).encode()
    with pytest.raises(Unfit, match="format 2, and this release reads 1"):
        decode(table, 0)


def test_a_state_of_the_format_before_or_after_is_converted() -> None:
    stage = in_format(2, _1=lambda data: data + b", once of 1", _3=lambda data: data + b", once of 3")
    assert restore(stage, 0, Snapshot(7, 1, b"state", 1), 0).state == b"state, once of 1"
    assert restore(stage, 0, Snapshot(7, 1, b"state", 2), 0).state == b"state"
    assert restore(stage, 0, Snapshot(7, 1, b"state", 3), 0).state == b"state, once of 3"


def test_a_state_of_a_format_that_is_not_read_is_refused_with_what_to_do() -> None:
    with pytest.raises(Unfit, match=r"saved in format 4, and this release reads 1, 2: run the release that saved it"):
        restore(in_format(2, _1=bytes), 0, Snapshot(7, 1, b"state", 4), 0)


@pytest.mark.parametrize("version", [b"1.0", b"1.7", b"1"])
def test_a_record_of_the_known_major_version_is_read_whatever_the_minor(version: bytes) -> None:
    assert parse(SIGNALS, record((SCHEMA_HEADER, version))) == Tick(at=5)


def test_a_record_that_does_not_say_its_version_is_of_the_first_major_and_unknown_fields_are_ignored() -> None:
    assert parse(SIGNALS, replace(record(), value=b'{"type":"tick","at":5,"zone":"of a later minor version"}')) == Tick(at=5)


@pytest.mark.parametrize("version", [b"2.0", b"10.0", b"", b"one", b"\xff" * 100])
def test_a_record_of_an_unknown_major_version_is_poison_with_the_reason(version: bytes) -> None:
    with pytest.raises(Poison, match=r"unknown_schema: version .*, and this release reads 1"):
        refuse_unknown(record((SCHEMA_HEADER, version)))
    with pytest.raises(Poison, match="unknown_schema"):
        parse(SIGNALS, record((SCHEMA_HEADER, version)))


def test_what_is_written_says_its_version() -> None:
    from schemas.topics import SIGNALS as TOPIC

    assert SCHEMA in emit(TOPIC, "key", Tick(at=5)).headers


def test_detect_refuses_batches_of_an_unknown_major_version() -> None:
    from streams import detect

    stage = detect.stage(CONFIG)
    with pytest.raises(Poison, match="unknown_schema"):
        stage.apply(
            stage.restore(None), Record("airra.samples.v1", 0, 0, 0, None, TICK, (("airra.type", b"tick"), (SCHEMA_HEADER, b"2.0"))), 0
        )


def test_arming_of_an_unknown_major_version_arms_nobody() -> None:
    from schemas.approvals import Arming
    from streams.harness import arming

    said = canonical(Arming(id="arm-1", armed=True, by="ann", at=1, until=9, cluster="c"))
    known = Record("airra.approvals.v1", 0, 0, 0, None, said, (("airra.type", b"arming"), SCHEMA))
    assert arming._arming(known) is not None
    assert arming._arming(replace(known, headers=(("airra.type", b"arming"), (SCHEMA_HEADER, b"2.0")))) is None


class Ended(Exception):
    """Stands for the end of the process."""


@pytest.fixture
def ends(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    codes: list[int] = []

    def end(code: int) -> None:
        codes.append(code)
        raise Ended

    monkeypatch.setattr(exits, "_end", end)
    return codes


def test_a_refusal_ends_with_the_code_that_no_supervisor_restarts_and_says_why(ends: list[int], capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(Ended):
        refuse("the state was saved by a newer release")
    assert ends == [EXIT_UNFIT]
    assert capfd.readouterr().err.splitlines()[-1] == "airra: the state was saved by a newer release"


def test_what_is_unfit_is_a_refusal_and_not_a_crash(ends: list[int]) -> None:
    with pytest.raises(Ended), boundary("detect"):
        raise Unfit("the state was saved by a newer release")
    assert ends == [EXIT_UNFIT]


async def test_a_partition_whose_state_cannot_be_read_is_not_opened_and_nothing_of_it_is_delivered() -> None:
    class Owner:
        source = "log"
        told = ""

        def opened(self, partition: int, bounds: Bounds) -> int:
            raise Unfit("saved in format 4")

        async def unfit(self, reason: str) -> None:
            self.told = reason
            raise Ended

    class Thread:
        async def bounds(self, tps: list[Any]) -> dict[Any, Bounds]:
            return {tp: Bounds(None, 0, 9) for tp in tps}

    class Partition:
        topic, partition = "log", 0

    consumer: Any = object.__new__(CorrectedConsumer)
    consumer._owner, consumer._thread, consumer.run, consumer._moved = Owner(), Thread(), Contiguous(), 0
    consumer._sources = lambda: [Partition()]
    with pytest.raises(Ended):
        await consumer.perform_seek()
    assert consumer._owner.told == "saved in format 4"
    assert consumer.run.expected(0) is None


def test_what_is_unfit_at_the_start_is_a_wrong_configuration_to_whoever_started_it(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    from cli import main, run

    async def unfit(*_: Any) -> None:
        raise Unfit("airra.samples.v1 has 6 partitions, and detect began with 4")

    monkeypatch.setattr(run, "serve_role", unfit)
    monkeypatch.setattr("cli.logs.configure", lambda *_: None)
    monkeypatch.setattr("sys.argv", ["airra", "worker", "detect"])
    with pytest.raises(SystemExit) as ended:
        main.main()
    assert ended.value.code == EXIT_UNFIT
    assert capfd.readouterr().err.startswith("airra: airra.samples.v1 has 6 partitions")
