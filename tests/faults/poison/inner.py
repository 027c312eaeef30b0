"""Poison on the topics between the stages: a stranger's records, a newer version's, torn ones. Each reader gives up each, once."""

from __future__ import annotations

import contextlib
import json
from collections import Counter
from collections.abc import Iterator

from confluent_kafka import Producer

from cli.demo.command import ROOT
from cli.demo.stack import Stack
from schemas import topics
from schemas.samples import BATCH_HEADER, TYPE_HEADER, BatchSource, encode_source
from tests.faults.ledger import read_all
from tests.faults.poison.flood import flood
from tests.faults.reliability.case import Finding, Ground
from tests.faults.store.sinking import until

Headers = list[tuple[str, bytes]]
ROLES = ("normalise", "detect", "dedup", "control", "sink")
# Who must give up what it cannot read: stages, sink, and tell. Other effectors and views read beside a stage and skip it.
READERS = {
    topics.SAMPLES.name: ("detect",),
    topics.ALERTS.name: ("dedup",),
    topics.SIGNALS.name: ("correlate",),
    topics.INCIDENTS.name: ("reason", "verify", "sink"),
    topics.APPROVALS.name: ("approve", "admit", "sink"),
    topics.ACTIONS.name: ("report", "sink"),
    topics.OUTCOMES.name: ("sink",),
    topics.NOTICES.name: ("tell", "sink"),
}
# A type of each: of a type that it does not know the sink says that a newer writer wrote it, and passes it by.
TYPES = {
    topics.SAMPLES.name: b"samples",
    topics.ALERTS.name: b"alert_event",
    topics.SIGNALS.name: b"anomaly",
    topics.INCIDENTS.name: b"incident",
    topics.APPROVALS.name: b"proposal",
    topics.ACTIONS.name: b"grant",
    topics.OUTCOMES.name: b"outcome",
    topics.NOTICES.name: b"notice",
}
KEY = b"campaign-poison"
GIVEN_UP_S = 120.0


def poison(topic: str, number: int) -> tuple[bytes | None, Headers]:
    """Return one record that no reader of this topic can read."""
    kind = TYPES[topic]
    source = (BATCH_HEADER, encode_source(BatchSource("metrics", 0, 0, 9)))
    kinds: list[tuple[bytes | None, Headers]] = [
        (b"\xff\xfe garbage %d" % number, [(TYPE_HEADER, kind), source]),
        (b"", [(TYPE_HEADER, kind)]),
        (None, []),
        (b'{"type":"%s","id":%d}' % (kind, number), [(TYPE_HEADER, kind)]),
        (b'{"type":"%s","id":"x","at":1e400}' % kind, [(TYPE_HEADER, kind), ("airra.backfill", b"\x00")]),
        (b"[" * 20_000, [(TYPE_HEADER, kind), (BATCH_HEADER, b"{")]),
        (json.dumps({"type": kind.decode(), "title": "x" * 500_000}).encode(), [(TYPE_HEADER, kind), ("airra.error.id", b"forged")]),
    ]
    return kinds[number % len(kinds)]


def spoil(bootstrap: str, each: int) -> None:
    refused: list[str] = []
    producer = Producer({"bootstrap.servers": bootstrap, "linger.ms": 5, "log_level": 0})
    for number in range(each):
        for topic in READERS:
            value, headers = poison(topic, number)
            producer.produce(
                topic, value, KEY, headers=list(headers), on_delivery=lambda error, _: refused.append(str(error)) if error else None
            )
        producer.poll(0)
    if producer.flush(60) or refused:
        raise RuntimeError(f"the campaign's own records were not acknowledged: {refused[:1]}")


def letters(bootstrap: str) -> Counter[tuple[str, str, int, int]]:
    """Count the letters of each stage about each place."""
    found: Counter[tuple[str, str, int, int]] = Counter()
    for record in read_all(bootstrap, topics.DLQ.name):
        if record.header("airra.error.stage") is not None:
            told = [(record.header(f"airra.error.{name}") or b"").decode() for name in ("stage", "topic", "partition", "offset")]
            found[told[0], told[1], int(told[2]), int(told[3])] += 1
    return found


def wanted(bootstrap: str) -> set[tuple[str, str, int, int]]:
    """Read from the topics which letters there must be."""
    places = [(topic, record) for topic in READERS for record in read_all(bootstrap, topic) if record.key == KEY]
    return {(stage, topic, record.partition, record.offset) for topic, record in places for stage in READERS[topic]}


def between(ground: Ground, done: frozenset[str]) -> Iterator[Finding]:
    each = 14 if ground.sample else 700
    item = f"{each} on each of {len(READERS)} topics"
    if item in done:
        return
    folder = ground.new_folder("between")
    with ground.own_kafka() as broker, contextlib.ExitStack() as ending:
        stack = ending.enter_context(Stack(folder, {"config_dir": ROOT / "config"}, broker.bootstrap, roles=ROLES))
        spoil(broker.bootstrap, each // 2)  # before anybody reads: the first record of a log may be one
        stack.start_roles()
        for topic in ("metrics", "alerts", "changes"):
            flood(broker.bootstrap, topic, 2_000, 0)
        spoil(broker.bootstrap, each - each // 2)
        must = wanted(broker.bootstrap)
        with contextlib.suppress(RuntimeError):  # what is missing is counted below
            until(lambda: must <= letters(broker.bootstrap).keys() or _died(stack), GIVEN_UP_S, f"{len(must)} letters")
        restarts = {
            child.name: child.restarts for child in (stack.supervisor.children.values() if stack.supervisor else ()) if child.restarts
        }
        found = letters(broker.bootstrap)
    strays = [place for place in found if place not in must and place[1] in READERS]
    told = (
        *(f"a letter about a sound record: {place}" for place in strays[:3]),
        *(f"ended and was started again: {restarts}" for _ in restarts),
    )
    yield Finding(
        item,
        each * len(READERS),
        lost=len(must - found.keys()),
        doubled=sum(count - 1 for place, count in found.items() if place in must),
        wrong=len(strays),
        notes=f"{len(must)} letters",
        failed=tuple(dict.fromkeys(told)),
    )


def _died(stack: Stack) -> bool:
    """Say whether a role ends again and again: then no letter will come."""
    return stack.supervisor is not None and any(child.restarts > 5 for child in stack.supervisor.children.values())
