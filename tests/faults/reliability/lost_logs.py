"""Topics that are missing, deleted or made anew, and offsets that a group has lost: what each kind of part does then.

- A part whose topic is missing says so and ends; it starts once the topic is there.
- A stage whose state is about its very log (STOP) ends for good and prints the procedure; detect and dedup (GO_ON) keep their state and
  read the new log from its beginning. A raw topic that was made anew is read from its beginning.
- A stage without a committed offset goes on where its snapshot ends. What acts waits until it is armed.
"""

from __future__ import annotations

import contextlib
import re
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

from bench.meter import scrape
from cli.demo.stack import Stack
from cli.processes import WRONG_CONFIGURATION
from models.detection.fates import ARRIVALS
from schemas.samples import BATCH_HEADER, TYPE_HEADER, decode_batches
from schemas.settings import Settings
from schemas.topics import DLQ, RAW_METRICS, SAMPLES, SIGNALS
from streams.harness.app import changelog_of, group_of
from streams.harness.kafka import KafkaSettings
from streams.harness.stage import Record, Stage
from streams.harness.topics import NewLog, create_topics
from tests.faults.bench import Bench, Result
from tests.faults.detecting import Feed, detecting, folded
from tests.faults.fleet import Fleet
from tests.faults.ledger import committed, difference, length, read_all
from tests.faults.load.account import saved_states
from tests.faults.load.traffic import Shape, Traffic
from tests.faults.network.plane import said_again
from tests.faults.points.groups import until
from tests.faults.reliability.case import Case, Finding, Ground, Listed, single
from tests.faults.reliability.harness import finding
from tests.faults.site import READY_WITHIN_S, Site, one_waits
from tests.kafka.broker import KafkaBroker

PER_SECOND = 1000.0
WITHIN_S = 60.0
STILL_S = 15.0  # nothing happens for so long
RUNNING, AWAY = "airra.samples.v1", "airra.samples.v1, while detect is away"
WAITS = "waits"  # a row that has no fate yet: its window is open
STOOD_AT = re.compile(r"log_made_anew\b.*?\bpartition=(\d+).*?\bstood_at=(-?\d+)")


def admin_of(bootstrap: str) -> AdminClient:
    return AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})


def delete_topics(bootstrap: str, *names: str) -> None:
    """Delete topics and wait until they are gone."""
    admin = admin_of(bootstrap)
    for future in admin.delete_topics(list(names)).values():
        future.result(30)
    until(lambda: not set(names) & set(admin.list_topics(timeout=10).topics), WITHIN_S, f"{names} are deleted")


def delete_group(bootstrap: str, group: str) -> None:
    """Delete a group's offsets, as their expiry does; its members are gone, or go within a session."""
    admin = admin_of(bootstrap)  # an answer comes only to a client that is still there

    def deleted() -> bool:
        try:
            admin.delete_consumer_groups([group])[group].result(10)
        except KafkaException as error:
            return bool(error.args[0].code() == KafkaError.GROUP_ID_NOT_FOUND)  # else it has members still
        return True

    until(deleted, WITHIN_S, f"{group} is deleted", lambda: time.sleep(0.5))


def missing(ground: Ground) -> Finding:
    """A worker whose topics are not there ends with what to do; it is restarted until they are."""
    with ground.own_kafka() as broker:
        bench = Bench(broker, ground.new_folder("missing"), 1)
        delete_topics(broker.bootstrap, *bench.logs)
        with contextlib.closing(bench.fleet):
            bench.fleet.start(0)
            until(lambda: "run `airra topics create`" in bench.fleet.said(0), WITHIN_S, "the worker says what is missing")
            until(lambda: bench.fleet.ended(0), WITHIN_S, "the worker ends")
            create_topics(KafkaSettings(broker.bootstrap), [NewLog(name, bench.partitions, {}) for name in bench.logs])
            bench.at_work(PER_SECOND)
            return finding("missing at start", 1, bench.settle(Result("missing")))


def stopped(ground: Ground) -> Finding:
    """The log of a running stage is deleted and made anew: it ends for good and says how to go on; following that, it begins anew."""
    failed: list[str] = []
    with ground.own_kafka() as broker:
        bench = Bench(broker, ground.new_folder("stopped"), 1, revived=False)
        fleet, source = bench.fleet, bench.logs[0]
        with contextlib.closing(fleet):
            fleet.start(0)
            bench.at_work(PER_SECOND)
            bench.pump.flush()
            delete_topics(broker.bootstrap, source)
            create_topics(KafkaSettings(broker.bootstrap), [NewLog(source, bench.partitions, {})])
            until(lambda: fleet.ended(0), WITHIN_S, "the running worker ends")
            bench.pump.during(5.0, PER_SECOND)  # the new log passes the old one's end
            bench.pump.flush()
            before = len(read_all(broker.bootstrap, bench.logs[1]))
            fleet.start(0)
            until(lambda: fleet.ended(0), WITHIN_S, "the restarted worker ends")
            if fleet.code(0) != WRONG_CONFIGURATION or "airra act arm" not in fleet.said(0):
                failed.append(f"exit {fleet.code(0)}, and no procedure")
            if len(read_all(broker.bootstrap, bench.logs[1])) != before:
                failed.append("outputs from a log that is not the state's")
            delete_topics(broker.bootstrap, changelog_of(bench.stages[0]), bench.logs[1])
            delete_group(broker.bootstrap, group_of(bench.stages[0]))
            create_topics(KafkaSettings(broker.bootstrap), [NewLog(bench.logs[1], bench.partitions, {})])
            fleet.start(0)
            bench.at_work(PER_SECOND)
            found = finding("a stage that stops", 1, bench.settle(Result("stopped")))
            return Finding(found.item, 1, found.lost, 0, found.wrong, found.equal, notes=found.notes, failed=tuple(failed))


def goes_on(ground: Ground, done: frozenset[str]) -> Iterator[Finding]:
    """airra.samples.v1 is deleted and made anew under the real detect, or while it is away: its state goes on, none of the new log is passed over."""
    for item in (RUNNING, AWAY):
        if item not in done:
            yield _goes_on(ground, item)


def _goes_on(ground: Ground, item: str) -> Finding:
    with ground.own_kafka() as broker:
        create_topics(KafkaSettings(broker.bootstrap), [SAMPLES, SIGNALS, DLQ])
        stage = detecting(Settings(kafka_bootstrap=broker.bootstrap))
        fleet = Fleet(broker.bootstrap, ground.new_folder("anew"), [], module="tests.faults.detecting")
        feed = Feed(broker.bootstrap, SAMPLES.partitions, 1, fleet.revive)
        with contextlib.closing(fleet):
            fleet.start(0)
            feed.during(20.0)
            feed.flush()
            fed = length(broker.bootstrap, SAMPLES.name)
            until(
                lambda: committed(broker.bootstrap, group_of(stage.name), SAMPLES.name) >= fed, WITHIN_S, "all that was fed is in its state"
            )
            if item == AWAY:
                fleet.stop()
            old = read_all(broker.bootstrap, SAMPLES.name)
            delete_topics(broker.bootstrap, SAMPLES.name)
            create_topics(KafkaSettings(broker.bootstrap), [SAMPLES])
            feed.define()
            if item == AWAY:
                fleet.start(0)
            feed.during(30.0)
            feed.flush()
            until(lambda: _judged(broker, stage, item, old, fleet).lost == 0, WITHIN_S, "all is told", fleet.revive)
            fleet.stop()
            found = _judged(broker, stage, item, old, fleet)
            return replace(found, notes=f"{feed.sent} batches, exits {dict(fleet.exits)}; {found.notes}")


def _judged(broker: KafkaBroker, stage: Stage[Any], item: str, old: list[Record], fleet: Fleet) -> Finding:
    """Compare with a linear replay of the old log as far as detect stood, and of the new one.

    Its ticks beyond that (they stand on the log, too) may have been told before the log was gone.
    """
    stood = {int(partition): int(offset) for partition, offset in STOOD_AT.findall(fleet.said(0))}
    before = [record for record in old if record.offset <= stood.get(record.partition, -1)]
    saved, new = saved_states(broker.bootstrap, stage), read_all(broker.bootstrap, SAMPLES.name)
    due = folded(stage, [*before, *new])[1]
    lost, _, repeated = difference(broker.bootstrap, SIGNALS.name, due)
    _, wrong, _ = difference(broker.bootstrap, SIGNALS.name, {**folded(stage, old)[1], **due})
    states = folded(stage, [*before, *(record for record in new if record.offset <= saved[record.partition].offset)])[0]
    equal = {partition: snapshot.data for partition, snapshot in saved.items()} == states
    failed = () if len(stood) == SAMPLES.partitions else (f"{len(stood)} of {SAMPLES.partitions} partitions found anew",)
    return Finding(item, 1, lost, None, wrong, equal, notes=f"{len(due)} signals", failed=failed, repeated=repeated)


def raw(ground: Ground) -> Finding:
    """A raw topic is deleted and made anew under normalise: each sample of the new one is passed on, and detect takes none for a repeat."""
    folder = ground.new_folder("raw")
    with ground.own_kafka() as broker, Stack(folder, {}, broker.bootstrap, roles=("normalise", "detect")) as stack:
        stack.start_roles()
        stack.wait_ready(["normalise", "detect"])
        old = Traffic(broker.bootstrap, Shape(200))
        _live(old, 40)
        until(lambda: len(_rows(broker)) >= old.sent, WITHIN_S, "all of the old topic is passed on")
        delete_topics(broker.bootstrap, RAW_METRICS.name)
        create_topics(KafkaSettings(broker.bootstrap), [RAW_METRICS])
        anew = int(time.time()) * 1000  # after every sample of the old one
        _live(Traffic(broker.bootstrap, Shape(200)), 30)  # the old one holds on to the topic it knew
        appended = {(record.partition, record.offset) for record in read_all(broker.bootstrap, RAW_METRICS.name)}
        with contextlib.suppress(RuntimeError):  # what is missing then is counted
            until(lambda: appended <= {place for place, _ in _rows(broker, anew)}, WITHIN_S, "all of the new topic is passed on")
            until(lambda: _fates(stack).total() >= len(_rows(broker)), WITHIN_S, "detect has taken every row")
        rows, fates = _rows(broker, anew), _fates(stack)
        passed_on, (again, differing) = {place for place, _ in rows}, said_again(rows)
        lost = len(appended - passed_on) + max(0, len(_rows(broker)) - fates.total())
        unjudged = fates.total() - sum(fates[fate] for fate in (*ARRIVALS, WAITS))
        failed = () if unjudged == again else (f"{again} rows stand again, and detect has judged all but {unjudged}: {dict(fates)}",)
        notes = f"{len(appended)} samples appended to the new topic, {len(rows)} rows of them, {again} of these repeats"
        wrong = differing + len(passed_on - appended)
        return Finding("a raw topic", 1, lost, wrong=wrong, notes=notes, failed=failed, repeated=again)


def _rows(broker: KafkaBroker, since: int = 0) -> list[tuple[tuple[int, int], tuple[int, float]]]:
    """Return time and value of each row that normalise wrote of the time from `since` on, by partition and offset of its raw record."""
    rows = []
    for record in read_all(broker.bootstrap, SAMPLES.name):
        if record.header(TYPE_HEADER) == b"samples":
            for source, batch in decode_batches(record.value, record.header(BATCH_HEADER)).parts():
                told = zip(batch.offset.tolist(), batch.time.tolist(), batch.value.tolist(), strict=True)
                rows += [((source.partition, offset), (at, value)) for offset, at, value in told if at >= since]
    return rows


def _fates(stack: Stack) -> Counter[str]:
    """Return what became of the rows that detect has taken."""
    found: Counter[str] = Counter()
    for (name, labels), value in scrape(stack.address("detect", "observe_port")).items():
        if name in {"airra_detect_rows_total", "airra_detect_pending_rows"}:
            found[dict(labels).get("fate", WAITS)] += int(value)
    return found


def _live(traffic: Traffic, seconds: int) -> None:
    """Write a second's samples a second."""
    begun = time.time()
    for second in range(seconds):
        traffic.second(int(begun) + second)
        time.sleep(max(0.0, begun + second + 1 - time.time()))
    traffic.flush()


def offsets(ground: Ground) -> Finding:
    """The group of a stage is deleted while nobody runs: it goes on where its snapshot ends."""
    with ground.own_kafka() as broker:
        bench = Bench(broker, ground.new_folder("offsets"), 1)
        with contextlib.closing(bench.fleet):
            for _ in range(3):
                bench.fleet.start(0)
                bench.at_work(PER_SECOND)
                bench.fleet.kill(0)
                delete_group(broker.bootstrap, group_of(bench.stages[0]))
            bench.fleet.start(0)
            bench.at_work(PER_SECOND)
            return finding("a stage's offsets, 3 times", 3, bench.settle(Result("offsets")))


def unarmed(ground: Ground) -> Finding:
    """The offsets of execute are deleted with an approval under way: nothing is acted upon until an operator arms, then once."""
    failed: list[str] = []
    with ground.own_kafka() as broker, Site(broker.bootstrap, ground.new_folder("site")) as site:
        site.start()
        first, second = one_waits(site)
        site.stop_control()
        delete_group(broker.bootstrap, "airra-execute")
        before = len(site.effects())
        site.control.start()
        site.approve(second)
        until(lambda: "waits_for_arming" in site.log.read_text(), READY_WITHIN_S, "execute waits", site.step)
        site.pass_time(STILL_S)
        if len(site.effects()) != before:
            failed.append("acted without arming")
        site.arm()
        site.heal(second)
        counts = [site.of(key) for key in (first, second)]
        doubled, wrong = sum(max(0, count - 1) for count in counts), len(site.effects()) - sum(counts)
        return Finding("the offsets of execute", 1, counts.count(0), doubled, wrong, failed=tuple(failed))


CASES = (
    Case("missing", "topics are missing at the start: what to do is said, and done it goes on", single("missing at start", missing), 2),
    Case("anew-stop", "a stage's log is deleted and made anew: it ends and says how to go on", single("a stage that stops", stopped), 3),
    Case(
        "anew-go-on",
        "airra.samples.v1 is deleted and made anew, under the running detect and while it is away: it goes on with its state",
        Listed((RUNNING, AWAY), goes_on),
        4,
    ),
    Case(
        "anew-raw",
        "a raw topic is deleted and made anew under normalise: each of its samples is passed on, and counts, from the first batch",
        single("a raw topic", raw),
        3,
    ),
    Case("offsets", "a group's offsets are deleted: nothing is lost", single("a stage's offsets, 3 times", offsets), 3),
    Case("unarmed", "the offsets of execute are deleted: 0 actions until it is armed", single("the offsets of execute", unarmed), 4),
)
