"""Offsets that their group has lost by expiry: nobody was a member for as long as the broker keeps them (a week by default, here a minute)."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

from confluent_kafka import ConsumerGroupTopicPartitions

from streams.harness.app import group_of
from tests.faults.bench import Bench, Result
from tests.faults.ledger import committed
from tests.faults.points.groups import until
from tests.faults.reliability.case import Case, Finding, Ground, Listed
from tests.faults.reliability.harness import finding
from tests.faults.reliability.lost_logs import PER_SECOND, STILL_S, WITHIN_S, admin_of
from tests.faults.site import READY_WITHIN_S, Site, one_waits

SOON = {"offsets.retention.minutes": "1", "offsets.retention.check.interval.ms": "1000"}
EXPIRED_WITHIN_S = 180.0  # a session of who was killed, and a minute
STAGE, EXECUTE = "a stage's offsets", "the offsets of execute"


def await_expiry(bootstrap: str, group: str) -> None:
    """Return once the broker has forgotten what the group had committed; whoever committed it is gone, or goes within a session."""
    admin = admin_of(bootstrap)  # an answer comes only to a client that is still there

    def expired() -> bool:
        found = admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group)])[group].result(10)
        return all(one.offset < 0 for one in found.topic_partitions)

    if expired():
        raise RuntimeError(f"{group} had committed nothing")
    until(expired, EXPIRED_WITHIN_S, f"the offsets of {group} have expired", lambda: time.sleep(1.0))


def _run(ground: Ground, done: frozenset[str]) -> Iterator[Finding]:
    """Let offsets expire; the times that are waited for are the broker's own."""
    for item, find in ITEMS.items():
        if item not in done:
            yield find(ground)


def of_a_stage(ground: Ground) -> Finding:
    """Nobody runs until the offsets have expired: the stage goes on where its snapshot ends, and reads what was written meanwhile."""
    with ground.own_kafka(properties=SOON) as broker:
        bench = Bench(broker, ground.new_folder("expired"), 1, revived=False)
        with contextlib.closing(bench.fleet):
            group = group_of(bench.stages[0])
            bench.fleet.start(0)
            bench.at_work(PER_SECOND)
            has_committed = lambda: committed(broker.bootstrap, group, bench.logs[0]) > 0  # noqa: E731
            until(has_committed, WITHIN_S, "the stage has committed", lambda: bench.pump.during(0.5, PER_SECOND))
            bench.fleet.kill(0)
            bench.pump.during(2.0, PER_SECOND)
            bench.pump.flush()
            await_expiry(broker.bootstrap, group)
            bench.fleet.start(0)
            bench.at_work(PER_SECOND)
            return finding(STAGE, 1, bench.settle(Result("expired")))


def of_execute(ground: Ground) -> Finding:
    """Control is away until all its offsets have expired, with an approval on the log: nothing is done until an operator arms, then once."""
    failed: list[str] = []
    with ground.own_kafka(properties=SOON) as broker, Site(broker.bootstrap, ground.new_folder("site")) as site:
        site.start()
        first, second = one_waits(site)
        site.stop_control()
        before = len(site.effects())
        site.approve(second)
        until(lambda: site.said_yes(second), READY_WITHIN_S, "a person approves", site.renew)
        await_expiry(broker.bootstrap, group_of("execute"))
        site.control.start()
        until(lambda: "waits_for_arming" in site.log.read_text(), READY_WITHIN_S, "execute waits", site.step)
        site.pass_time(STILL_S)
        if len(site.effects()) != before:
            failed.append("acted without arming")
        site.arm()
        third = site.fall_ill()
        site.heal(third)
        counts = [site.of(key) for key in (first, second, third)]  # the second: none where it is too old by now, or one
        doubled, wrong = sum(max(0, count - 1) for count in counts), len(site.effects()) - sum(counts)
        lost = [counts[0], counts[2]].count(0)
        notes = f"of the approval that waited {counts[1]} effects once armed"
        return Finding(EXECUTE, 1, lost, doubled, wrong, notes=notes, failed=tuple(failed))


ITEMS = {STAGE: of_a_stage, EXECUTE: of_execute}
CASES = (
    Case(
        "offsets-expired",
        "a group's offsets expire while it is away: nothing is lost, and 0 actions until armed",
        Listed(tuple(ITEMS), _run),
        7,
    ),
)
