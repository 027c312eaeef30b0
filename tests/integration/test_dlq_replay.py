"""`airra dlq replay` on a broker: each letter comes in once, however often it is asked for and wherever it was stopped."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer

from cli.reading import read
from schemas import topics
from streams.harness.dlq import dead_letter
from streams.harness.errors import Poison
from streams.harness.kafka import KafkaSettings
from streams.harness.redelivery import REPLAY_OF
from streams.harness.stage import Output, Record
from streams.harness.topics import create_topics
from tests.faults.ledger import length

ROOT = Path(__file__).resolve().parents[2]


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "cli.main", "dlq", *arguments]


def environment(broker: Any, folder: Path) -> dict[str, str]:
    env = {name: value for name, value in os.environ.items() if not name.startswith("AIRRA_")}
    return {**env, "AIRRA_KAFKA_BOOTSTRAP": broker.bootstrap, "AIRRA_DATA_DIR": str(folder)}


def airra(broker: Any, folder: Path, *arguments: str) -> tuple[int, Any, str]:
    done = subprocess.run(
        command(*arguments, "--json"), cwd=ROOT, env=environment(broker, folder), capture_output=True, text=True, timeout=120, check=False
    )
    assert "Traceback" not in done.stderr
    return done.returncode, json.loads(done.stdout) if done.stdout else None, done.stderr


def bury(broker: Any, records: list[Record], reason: str = "no_service") -> None:
    producer = Producer({"bootstrap.servers": broker.bootstrap, "message.max.bytes": 12_000_000})
    for record in records:
        letter: Output = dead_letter(record, "normalise", Poison(reason, "why"))
        producer.produce(letter.topic, letter.value, letter.key, headers=list(letter.headers))
        producer.poll(0)
    assert producer.flush(30) == 0


def raw(offset: int, value: bytes = b"{}", topic: str = "metrics", at: int = 0) -> Record:
    return Record(topic, offset % 4 if topic == "metrics" else 0, offset, at or int(time.time() * 1000) - 60_000, b"key", value)


def brought_in(broker: Any, topic: str = "metrics") -> list[Record]:
    return [record for number in range(4 if topic == "metrics" else 1) for record in read(KafkaSettings(broker.bootstrap), topic, number)]


@pytest.fixture(params=["fresh_embedded", "fresh_kafka"])
def broker(request: pytest.FixtureRequest) -> Any:
    found = request.getfixturevalue(request.param)
    create_topics(KafkaSettings(found.bootstrap), topics.CATALOGUE)
    return found


def test_letters_come_in_once_with_their_coordinates_and_are_listed_as_replayed(broker: Any, tmp_path: Path) -> None:
    old = int(time.time() * 1000) - 3 * 3_600_000
    bury(broker, [raw(number, b"v%d" % number) for number in range(20)])
    ahead = int(time.time() * 1000) + 400 * 86_400_000  # a broker of today refuses such a stamp; one of yesterday did not
    bury(broker, [raw(0, b"v0"), raw(20, b"old", at=old), raw(21, b"ahead", at=ahead)])  # the first again: a stage that died repeats itself
    bury(broker, [raw(1, b"bad")], reason="not_json")  # of the same record: one id, one letter
    bury(broker, [raw(3, topic=topics.APPROVALS.name), raw(4, topic="elsewhere")])

    assert airra(broker, tmp_path, "replay")[0] == 2
    code, said, _ = airra(broker, tmp_path, "replay", "--topic", "metrics", "--dry-run")
    assert (code, said["would"], brought_in(broker)) == (0, 22, [])
    code, said, _ = airra(broker, tmp_path, "replay", "5", "6")
    assert (code, said["replayed"]) == (0, 2)
    code, said, _ = airra(broker, tmp_path, "replay", "--all")
    assert code == 1  # two cannot be brought in, and it says why
    assert {key: said[key] for key in ("selected", "replayed", "already", "historical")} == {
        "selected": 24,
        "replayed": 20,
        "already": 2,
        "historical": 1,
    }
    assert ["leads to actions" in each["why"] or "no raw topic" in each["why"] for each in said["refused"]] == [True, True]
    code, said, _ = airra(broker, tmp_path, "replay", "--topic", "metrics")
    assert (code, said["replayed"], said["already"]) == (0, 0, 22)

    records = brought_in(broker)
    assert sorted(record.value for record in records) == sorted([b"old", b"ahead", *(b"v%d" % number for number in range(20))])
    assert {record.header(REPLAY_OF) for record in records} == {b"metrics/%d@%d" % (number % 4, number) for number in range(22)}
    assert all(record.partition == int((record.header(REPLAY_OF) or b"").split(b"@")[1]) % 4 for record in records)
    assert [record.timestamp for record in records if record.header("airra.backfill")] == [old]

    code, listed, _ = airra(broker, tmp_path, "ls", "--limit", "100")
    assert (code, sum(letter["replayed"] for letter in listed), len(listed)) == (0, 22, 24)
    code, shown, _ = airra(broker, tmp_path, "show", str(listed[0]["number"]))
    assert (code, shown["value"]) == (0, listed[0]["detail"] and "v0")
    assert airra(broker, tmp_path, "show", "100000")[0] == 2
    assert airra(broker, tmp_path, "replay", "100000")[0] == 2


def test_a_replay_that_is_killed_half_way_is_taken_up_by_the_next(fresh_kafka: Any, tmp_path: Path) -> None:
    create_topics(KafkaSettings(fresh_kafka.bootstrap), topics.CATALOGUE)
    bury(fresh_kafka, [raw(number, b"v%d" % number + b" " * 2_000) for number in range(20_000)])
    killed = 0
    for _ in range(3):
        before = length(fresh_kafka.bootstrap, "metrics")
        process = subprocess.Popen(command("replay", "--all"), cwd=ROOT, env=environment(fresh_kafka, tmp_path), stderr=subprocess.DEVNULL)
        while process.poll() is None and length(fresh_kafka.bootstrap, "metrics") == before:
            pass
        process.send_signal(signal.SIGKILL)
        killed += process.wait(30) == -signal.SIGKILL
    assert killed, "it was never killed half-way"
    assert 0 < len(brought_in(fresh_kafka)) < 20_000
    code, said, _ = airra(fresh_kafka, tmp_path, "replay", "--all")
    assert (code, said["replayed"] + said["already"], said["replayed"] > 0, said["already"] > 0) == (0, 20_000, True, True)
    places = [record.header(REPLAY_OF) for record in brought_in(fresh_kafka)]
    assert (len(places), len(set(places))) == (20_000, 20_000)
