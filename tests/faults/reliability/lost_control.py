"""The control logs lost: missing at the start, or deleted and made anew under the running role that decides and acts.

It says what to do and ends; nothing is acted upon by what it still holds, and nothing on the new log until an operator arms.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from functools import partial

from cli.acting import arm
from cli.processes import WRONG_CONFIGURATION
from schemas import topics
from schemas.actions import RefusalReason
from streams.harness.topics import create_topics
from tests.faults.points.groups import until
from tests.faults.reliability.case import Case, Finding, Ground, Listed, single
from tests.faults.reliability.lost_logs import STILL_S, delete_group, delete_topics
from tests.faults.site import READY_WITHIN_S, Site, one_waits

LOGS = (topics.SIGNALS, topics.INCIDENTS, topics.APPROVALS, topics.ACTIONS, topics.OUTCOMES, topics.NOTICES)
ANOTHER_LOG = re.compile(r"(\S+) is not the log that the state of (\S+) was folded from")
TO_DELETE = re.compile(r"Delete (\S+) and the group (\S+) ")
ANEW = (topics.APPROVALS, topics.ACTIONS)
JUDGED = (topics.SIGNALS, topics.INCIDENTS)  # what leads to a proposal: what was approved, and done, stands on logs of its own
STAGES = ("correlate", "reason", "approve", "admit", "report", "verify")
ROUNDS = 8  # more than there are stages: each that finds its log made anew says so in its turn
ARMED_S = 24 * 3600.0


def missing(ground: Ground) -> Finding:
    """The control role without its logs ends and says what to do, again and again; with them it goes on."""
    with ground.own_kafka() as broker, Site(broker.bootstrap, ground.new_folder("site")) as site:
        delete_topics(broker.bootstrap, *(log.name for log in LOGS))
        codes = []
        for _ in range(2):
            site.control.start()
            until(lambda: site.control.code is not None, READY_WITHIN_S, "control ends")
            codes.append(site.control.code)
        told = site.log.read_text().count("run `airra topics create`")
        failed = [] if told >= len(codes) else [f"{told} times told what is missing, in {len(codes)} starts"]
        if {0, WRONG_CONFIGURATION} & set(codes):
            failed.append(f"exits {codes}: nobody would start it again")
        create_topics(site.kafka, topics.CATALOGUE)
        site.move(broker.bootstrap)
        site.start()
        key = site.fall_ill()
        site.heal(key)
        count = site.of(key)
        return Finding("the control role", 1, int(not count), max(0, count - 1), len(site.effects()) - count, failed=tuple(failed))


def anew(ground: Ground, done: frozenset[str]) -> Iterator[Finding]:
    """Delete a log under the running role and make it anew; then do as it says."""
    for log in ANEW:
        if log.name not in done:
            yield _anew(ground, log)


def _anew(ground: Ground, log: topics.TopicSpec) -> Finding:
    with ground.own_kafka() as broker, Site(broker.bootstrap, ground.new_folder("site")) as site:
        site.start()
        _, waiting = one_waits(site)
        before = site.effects()
        delete_topics(broker.bootstrap, log.name)
        create_topics(site.kafka, [log])
        site.approve(waiting)
        failed = refuses(site, log.name)
        failed += [] if site.effects() == before else ["acted on what stands on the log no more"]
        if failed:
            return Finding(log.name, 1, failed=tuple(failed))  # it told nobody how to go on
        told = _as_it_says(site, broker.bootstrap)
        late = site.fall_ill()
        until(lambda: _waits(site) or bool(site.refusals(late)), READY_WITHIN_S, "execute waits, or refuses", site.step)
        if not site.refusals(late) <= {RefusalReason.NOT_ARMED}:
            failed.append(f"refused for {sorted(site.refusals(late))}")
        site.pass_time(STILL_S)
        failed += [] if site.effects() == before else ["acted without arming"]
        _arm(site)
        new = site.fall_ill()
        site.heal(new)
        counts = [site.of(key) for key in (waiting, late, new)]  # those before the last: none, or one once armed
        doubled = sum(max(0, count - 1) for count in counts)
        wrong = len(site.effects()) - len(before) - sum(counts)
        notes = f"exits {dict(site.exits)}; {', '.join(told)} began anew"
        return Finding(log.name, 1, int(not counts[-1]), doubled, wrong, notes=notes, failed=tuple(failed))


def judged_anew(ground: Ground, done: frozenset[str]) -> Iterator[Finding]:
    """Delete a log from which proposals are made under the running role, make it anew, and do as it says."""
    for log in JUDGED:
        if log.name not in done:
            yield _judged_anew(ground, log)


def _judged_anew(ground: Ground, log: topics.TopicSpec) -> Finding:
    with ground.own_kafka() as broker, Site(broker.bootstrap, ground.new_folder("site")) as site:
        site.start()
        first = site.fall_ill()
        site.heal(first)
        delete_topics(broker.bootstrap, log.name)
        create_topics(site.kafka, [log])
        if failed := refuses(site, log.name):
            return Finding(log.name, 1, failed=tuple(failed))  # it told nobody how to go on
        told = _as_it_says(site, broker.bootstrap)
        _arm(site)
        new = site.fall_ill()
        site.heal(new)
        counts = [site.of(key) for key in (first, new)]
        wrong = len(site.effects()) - sum(counts)
        notes = f"exits {dict(site.exits)}; {', '.join(told)} began anew"
        return Finding(log.name, 1, counts.count(0), sum(max(0, count - 1) for count in counts), wrong, notes=notes)


def refuses(site: Site, log: str) -> list[str]:
    """Keep control running until it refuses to; return what is wrong with how it does."""
    failed = []
    with contextlib.suppress(RuntimeError):
        site.pass_time(READY_WITHIN_S)
        failed.append("control runs on")
    said = site.log.read_text()
    if not site.exits[WRONG_CONFIGURATION]:
        failed.append(f"exits {dict(site.exits)}")
    return failed + procedure_missing(said, log)


def procedure_missing(said: str, log: str) -> list[str]:
    """Return what a person would need and was not told: which log, whose state, what to delete, and that acting must be armed."""
    found = ANOTHER_LOG.search(said)
    wanted = {"which log": found is not None and found[1] == log, "what to delete": TO_DELETE.search(said) is not None}
    wanted |= {"that acting must be armed": "`airra act arm`" in said}
    return [f"not told {what}" for what, there in wanted.items() if not there]


def _as_it_says(site: Site, bootstrap: str) -> list[str]:
    """Follow the printed procedure until control runs; return the stages that begin anew."""
    stages: list[str] = []
    for _ in range(ROUNDS):
        found, stage = TO_DELETE.findall(site.log.read_text())[-1], ANOTHER_LOG.findall(site.log.read_text())[-1][1]
        stages.append(stage)
        delete_topics(bootstrap, found[0])
        delete_group(bootstrap, found[1])
        site.move(bootstrap)
        site.control.start()
        until(partial(settled, site), READY_WITHIN_S, "control runs, or refuses to", site.renew)
        if site.control.code is None:
            return stages
    raise RuntimeError(f"control refuses to run after {ROUNDS} rounds: {site.last_words()}")


def settled(site: Site) -> bool:
    """Say whether control refuses to run, or all its stages have their logs and execute is at work, or waits for an operator."""
    if site.control.code == WRONG_CONFIGURATION:
        return True
    if site.control.code is not None:
        site.control.start()
    lines = site.log.read_text().splitlines()
    opened = [line for line in lines if "partition_opened" in line]
    at_work = any("waits_for_arming" in line or ("effector_began" in line and '"execute"' in line) for line in lines)
    return at_work and all(any(f'"{stage}"' in line for line in opened) for stage in STAGES)


def _waits(site: Site) -> bool:
    return "waits_for_arming" in site.log.read_text()


def _arm(site: Site) -> None:
    if _waits(site):
        site.arm()
    else:
        arm(site.kafka, "bench", ARMED_S)


CASES = (
    Case(
        "missing-control", "the control logs are missing: what to do is said, and done it acts once", single("the control role", missing), 2
    ),
    Case(
        "anew-control",
        "approvals, or actions, deleted and made anew under the control role: it ends, says how; 0 actions until armed",
        Listed(tuple(log.name for log in ANEW), anew),
        8,
    ),
    Case(
        "anew-judged",
        "signals, or incidents, deleted and made anew under the control role: it ends, says how; what was done is not done again",
        Listed(tuple(log.name for log in JUDGED), judged_anew),
        6,
    ),
)
