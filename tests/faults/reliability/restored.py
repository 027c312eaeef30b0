"""All topics restored into another cluster, with other offsets: nothing is acted upon until an operator arms, and nothing twice."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import replace

from confluent_kafka.admin import AdminClient

from cli.acting import arm
from schemas.actions import RefusalReason
from schemas.topics import ACTIONS
from tests.faults.mirror import mirror, mirror_offsets
from tests.faults.points.groups import until
from tests.faults.reliability.case import Case, Finding, Ground, Listed
from tests.faults.reliability.lost_logs import STILL_S, delete_topics
from tests.faults.site import READY_WITHIN_S, Site

CHANGELOG = "-state-changelog"
STATES = {"without the states": False, "with the states": True}
OFFSETS = "with the offsets of execute"


def restore(ground: Ground, done: frozenset[str]) -> Iterator[Finding]:
    for item, states in STATES.items():
        if item not in done:
            yield _find(ground, item, states)
    if OFFSETS not in done:
        yield _with_offsets(ground)


@contextlib.contextmanager
def _lived(ground: Ground) -> Iterator[tuple[Site, str, list[str], list[str]]]:
    """Two actions are done, a third is approved and not decided, a fourth proposed; another cluster waits, and control is stopped."""
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
        yield site, there.bootstrap, done, half


def _find(ground: Ground, item: str, states: bool) -> Finding:
    """Copy everything into another cluster; execute, which has no place in its log there, waits for an operator."""
    failed: list[str] = []
    with _lived(ground) as (site, there, done, half):
        before = site.effects()
        copied = mirror(site.kafka.bootstrap, there, lambda name: states or not name.endswith(CHANGELOG))
        site.move(there)
        if states:
            failed += _refused(site, there)
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
        return _counted(Finding(item, 1, notes=notes, failed=tuple(failed)), site, (*done, new), half[:1])


def _with_offsets(ground: Ground) -> Finding:
    """Restore the places of execute too, so that it waits for nobody: that the arming on the log is another cluster's must be enough."""
    failed: list[str] = []
    with _lived(ground) as (site, there, done, half):
        before, here = site.effects(), site.kafka.bootstrap
        copied = mirror(here, there, lambda name: not name.endswith(CHANGELOG))
        placed = mirror_offsets(here, there, "airra-execute", ACTIONS.name)
        site.move(there)
        site.control.start()
        late = [half[0], site.fall_ill()]
        until(lambda: all(site.refusals(key) for key in late), READY_WITHIN_S, "both approvals are refused", site.step)
        reasons = {reason for key in late for reason in site.refusals(key)}
        if reasons != {RefusalReason.NOT_ARMED}:
            failed.append(f"refused for {sorted(reasons)}")
        if not placed or "waits_for_arming" in site.log.read_text():
            failed.append("execute waited: this shows nothing of the arming")
        site.pass_time(STILL_S)
        if site.effects() != before:
            failed.append("acted on another cluster's arming")
        arm(site.kafka, "bench", 24 * 3600.0)
        new = site.fall_ill()
        site.heal(new)
        site.pass_time(STILL_S)
        notes = f"{copied} records copied, execute goes on at {placed}; 2 approvals refused: not armed"
        return _counted(Finding(OFFSETS, 1, notes=notes, failed=tuple(failed)), site, (*done, new))


def _counted(found: Finding, site: Site, due: Sequence[str], may: Sequence[str] = ()) -> Finding:
    """Count the effects: one is due to each incident, none or one to those that may have it; what belongs to no grant of theirs is wrong."""
    counts, others = [site.of(key) for key in due], [site.of(key) for key in may]
    doubled = sum(max(0, count - 1) for count in (*counts, *others))
    wrong = len(site.effects()) - sum(counts) - sum(others)
    return replace(found, lost=counts.count(0), doubled=doubled, wrong=wrong)


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
    Case(
        "restored",
        "every topic restored into another cluster, offsets differ: 0 actions until armed on it, none twice",
        Listed((*STATES, OFFSETS), restore),
        11,
    ),
)
