"""Bring dead letters in again, each once, however often it is asked for and wherever it was stopped.

One transactional producer of one name: whoever starts ends what an earlier one had begun, reads which letters have a mark, and
appends the others to their own topics, each in one transaction with its mark. Consumers read committed: what was not finished never was.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from confluent_kafka import KafkaException, Producer

from cli.config import ConfigError
from cli.dlq.chosen import Box, Wanted, letters
from cli.reading import read
from schemas import topics
from schemas.settings import Settings
from streams.harness.errors import Fatal
from streams.harness.kafka import MAX_REQUEST_BYTES, KafkaSettings, check, explain, present
from streams.harness.redelivery import Letter, back, letter_of, mark, obstacle
from streams.harness.stage import Output
from streams.harness.topics import max_message_bytes

TRANSACTIONAL_ID = "airra-dlq-replay"
TRANSACTION_S = 30.0  # readers of the topics wait for an open one: of a process that died, no longer than this
CHUNK = (500, 16 * 1024 * 1024)  # letters and bytes in one transaction
SAY_EVERY_S = 2.0
CONTROL = {spec.name for spec in topics.CATALOGUE if spec.plane == "control"} - {topics.SIGNALS.name}

Say = Callable[[str], None]


@dataclass
class Replayed:
    """What became of the letters that were meant: replayed + already + refused = selected."""

    selected: int = 0
    replayed: int = 0
    already: int = 0
    refused: list[dict[str, object]] = field(default_factory=list)
    historical: int = 0  # of the replayed: so old that they are history, about which nothing is done


class Destinations:
    """Which topics take letters back, with what is known of them, asked once each."""

    def __init__(self, kafka: KafkaSettings, settings: Settings) -> None:
        self._kafka = kafka
        self._open = {*settings.sample_topics, *settings.alerts_topics, *settings.changes_topics, topics.SIGNALS.name}
        self._known: dict[str, tuple[int, int]] = {}

    def partitions(self, topic: str) -> int:
        return self._of(topic)[0]

    def obstacle(self, letter: Letter) -> str | None:
        """Say why a letter cannot be brought in; None if it can."""
        if letter.topic in CONTROL:
            return f"{letter.topic} leads to actions, and everybody else has read the record: nothing goes back there"
        if letter.topic not in self._open:
            return f"{letter.topic} is no raw topic of the settings: its readers would take the record for a repeat"
        return obstacle(letter, *self._of(letter.topic))

    def _of(self, topic: str) -> tuple[int, int]:
        if topic not in self._known:
            partitions = present(self._kafka, topic)
            self._known[topic] = (partitions, max_message_bytes(self._kafka, topic) if partitions else 0)
        return self._known[topic]


def plan(kafka: KafkaSettings, wanted: Wanted, to: Destinations, say: Say) -> tuple[Replayed, frozenset[int]]:
    """Return what can be said before anything is appended, and the numbers of the letters to append; ConfigError: no such number."""
    box, found = Box(), Replayed()
    chosen: dict[str, tuple[int, str | None]] = {}
    told = time.monotonic()
    for letter in letters(read(kafka, topics.DLQ.name), box):
        if wanted.holds(letter):
            chosen[letter.id] = letter.number, to.obstacle(letter)
        if time.monotonic() - told > SAY_EVERY_S:
            told = time.monotonic()
            say(f"looked at {len(box.numbers)} dead letters, {len(chosen)} of them are meant")
    if unknown := wanted.numbers - {number for number, _ in chosen.values()}:
        raise ConfigError(f"no dead letter {', '.join(map(str, sorted(unknown)))}; airra dlq ls lists them")
    todo = set()
    found.selected = len(chosen)
    for name, (number, why) in chosen.items():
        if name in box.replayed:
            found.already += 1
        elif why is not None:
            found.refused.append({"number": number, "why": why})
        else:
            todo.add(number)
    return found, frozenset(todo)


def replay(kafka: KafkaSettings, settings: Settings, wanted: Wanted, historical_before: int, say: Say) -> Replayed:
    """Append the letters that are meant and were not brought in yet; what is older than `historical_before` (ms) goes in as history.

    Raises Fatal where the broker does not take them, or where another replay has taken over; started again it goes on from there.
    """
    check(kafka, [topics.DLQ.name])
    with _failing(kafka):
        producer = _producer(kafka)
        to = Destinations(kafka, settings)
        found, todo = plan(kafka, wanted, to, say)
        told, now = time.monotonic(), int(time.time() * 1000)
        for chunk in _chunks(kafka, todo):
            producer.begin_transaction()
            for letter in chunk:
                old = 0 < letter.timestamp < historical_before
                found.historical += old
                stamp = letter.timestamp if 0 < letter.timestamp <= now else 0  # a broker refuses one from the future, and all with it
                _append(producer, back(letter, to.partitions(letter.topic), historical=old), stamp)
                _append(producer, mark(letter), 0)
            producer.commit_transaction(TRANSACTION_S)
            found.replayed += len(chunk)
            if time.monotonic() - told > SAY_EVERY_S:
                told = time.monotonic()
                say(f"{found.replayed} of {len(todo)} brought in")
    return found


def summary(found: Replayed) -> list[str]:
    """Say it in lines for people."""
    why = Counter(str(each["why"]) for each in found.refused)
    history = f" ({found.historical} of them as history)" if found.historical else ""
    counts = f"{found.replayed} brought in{history}, {found.already} had been before, {len(found.refused)} cannot be"
    return [
        f"{found.selected} dead letters were meant: {counts}",
        *(f"  {count} cannot be: {text}" for text, count in why.most_common()),
    ]


def _chunks(kafka: KafkaSettings, numbers: frozenset[int]) -> Iterator[list[Letter]]:
    chunk: list[Letter] = []
    size = 0
    if not numbers:
        return
    for record in read(kafka, topics.DLQ.name, begin=min(numbers)):
        if record.offset in numbers and (letter := letter_of(record)) is not None:
            if chunk and (len(chunk) >= CHUNK[0] or size + len(record.value) > CHUNK[1]):
                yield chunk
                chunk, size = [], 0
            chunk.append(letter)
            size += len(record.value)
        if record.offset >= max(numbers):
            break
    if chunk:
        yield chunk


def _producer(kafka: KafkaSettings) -> Producer:
    producer = Producer(
        {
            **kafka.confluent(),
            "log_level": 0,
            "transactional.id": TRANSACTIONAL_ID,
            "transaction.timeout.ms": int(TRANSACTION_S * 1000),
            "message.max.bytes": MAX_REQUEST_BYTES,
            "linger.ms": 5,
            "partitioner": "murmur2_random",
        }
    )
    producer.init_transactions(TRANSACTION_S)
    return producer


def _append(producer: Producer, output: Output, timestamp: int) -> None:
    record: dict[str, object] = {"value": output.value, "key": output.key, "headers": list(output.headers), "timestamp": timestamp}
    if output.partition is not None:
        record["partition"] = output.partition
    while True:
        try:
            producer.produce(output.topic, **record)
        except BufferError:
            producer.poll(0.1)
        else:
            producer.poll(0)
            return


@contextmanager
def _failing(kafka: KafkaSettings) -> Iterator[None]:
    """Say what a failed transaction means: nothing of it was appended."""
    try:
        yield
    except KafkaException as error:
        cause = error.args[0]
        if cause.fatal():
            raise Fatal(f"another airra dlq replay has taken over on {kafka.bootstrap} ({cause.str()})") from error
        raise Fatal(f"{explain(kafka, [cause])}; what was not brought in yet can be brought in by the same command") from error
