"""All topics restored into another cluster, with other offsets: nothing is acted upon until an operator arms, and nothing twice."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from confluent_kafka.admin import AdminClient

from tests.faults.mirror import mirror
from tests.faults.points.groups import until
from tests.faults.reliability.case import Case, Finding, Ground
from tests.faults.reliability.lost_logs import STILL_S, delete_topics
from tests.faults.site import READY_WITHIN_S, Site

CHANGELOG = "-state-changelog"


def restore(ground: Ground, done: frozenset[str]) -> Iterator[Finding]:
    for item, states in (("without the states", False), ("with the states", True)):
        if item not in done:
            yield _find(ground, item, states)


def _find(ground: Ground, item: str, states: bool) -> Finding:
    """Two actions are done, a third is approved and not decided, a fourth proposed; then everything is copied into another cluster."""
    failed: list[str] = []
    with ground.own_kafka() as here, ground.own_kafka() as there, Site(here.bootstrap, ground.new_folder("site")) as site:
        site.start()
        done = [site.fall_ill(), site.fall_ill()]
        for key in done:
            site.heal(key)
        half = [site.fall_ill(approve=False), site.fall_ill(approve=False)]
        until(lambda: set(half) <= set(site.seen.proposals), READY_WITHIN_S, "both are proposed", site.step)
        site.stop_control()
        site.approve(half[0])
        site.pass_time(2.0, site.renew)  # the approval is on the log, and nobody decides it
        before = site.effects()
        copied = mirror(here.bootstrap, there.bootstrap, lambda name: states or not name.endswith(CHANGELOG))
        site.move(there.bootstrap)
        if states:
            failed += _refused(site, there.bootstrap)
        site.control.start()
        until(lambda: "waits_for_arming" in site.log.read_text(), READY_WITHIN_S, "execute waits", site.step)
        new = site.fall_ill()
        site.pass_time(STILL_S)
        if site.effects() != before:
            failed.append("acted without arming")
        site.arm()
        site.heal(new)
        site.pass_time(STILL_S)
        late = site.of(half[0])
        notes = f"{copied} records copied; of the approval that nobody had decided {late} effects once armed"
        doubled = sum(site.of(key) - 1 for key in (*done, new)) + max(0, late - 1)
        return Finding(item, 1, doubled=doubled, wrong=site.of(half[1]), notes=notes, failed=tuple(failed))


def _refused(site: Site, bootstrap: str) -> list[str]:
    """Start control on states that belong to other logs: it must say so and end; then do as it says."""
    site.control.start()
    failed = []
    with contextlib.suppress(RuntimeError):
        site.pass_time(60.0)
        failed.append("control runs on states of other logs")
    if "is not the log that the state of" not in site.log.read_text():
        failed.append(f"no procedure: {site.last_words()[-200:]}")
    admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})
    delete_topics(bootstrap, *(name for name in admin.list_topics(timeout=10).topics if name.endswith(CHANGELOG)))
    return failed


CASES = (
    Case("restored", "every topic restored into another cluster, offsets differ: 0 actions until armed, none twice", restore, minutes=8),
)
