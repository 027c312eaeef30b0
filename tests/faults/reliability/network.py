"""Network faults between every pair of role and broker, store, LLM, target and receiver: a real toxiproxy between them, and a count of what it did."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial

from streams.harness.embedded import free_port
from tests.faults.network.bench import NetworkBench
from tests.faults.network.counted import Counted, Met, counted
from tests.faults.network.plane import PlaneBench
from tests.faults.network.repeats import told
from tests.faults.network.toxics import ANSWERS_LOST, CUT_ANSWER, CUT_REQUEST, HTTP, KAFKA, KILLED, LATE_ANSWERS, REQUESTS_LOST
from tests.faults.network.trouble import Lived, Trouble
from tests.faults.reliability.case import Case, Chapter, Finding, Ground, Listed, NotRun, Run
from tests.kafka.broker import KafkaBroker
from tests.network import toxiproxy
from tests.network.toxiproxy import Toxic, Toxiproxy

KILLED_WITHIN_S = 60.0  # from the proposal to a grant, over a way on which every answer is late
BROKER_S = 9.0  # beyond the session time-out of 6 s: partitions are given up in the midst of it
TARGET_S = 8.0  # several time-outs of a call
BESIDE_S = 45.0  # what stands beside the path may not make the loop slower than this, of which 10 s are settling and verification
RECEIVER_S = 3.0  # within the patience of a delivery: its later attempts arrive
LOST_ANSWERS = (ANSWERS_LOST, CUT_ANSWER)
LOST = (*LOST_ANSWERS, REQUESTS_LOST, CUT_REQUEST)
Harm = tuple[Toxic, ...]


@contextmanager
def proxied(ground: Ground) -> Iterator[tuple[KafkaBroker, Toxiproxy, Counted]]:
    """Start a broker with a second listener behind a proxy; NotRun where toxiproxy cannot be had."""
    port = free_port()
    try:
        toxiproxy.fetch()
    except toxiproxy.Missing as lacking:
        raise NotRun(str(lacking)) from lacking
    with (
        ground.own_kafka(far_port=port) as broker,
        Toxiproxy(ground.new_folder("toxiproxy")) as proxies,
        counted(proxies, "broker", f"127.0.0.1:{broker.near_port}", port) as kafka,
    ):
        yield broker, proxies, kafka


def _over(
    harms: dict[str, Harm],
    find: Callable[[NetworkBench, str, Harm], Finding],
    proxy: str,
    role: str | None = None,
    sample: str = ANSWERS_LOST,
) -> Run:
    """Return the run that does one harm after the other to the traffic of one proxy, on one bench."""

    def run(ground: Ground, done: frozenset[str]) -> Iterator[Finding]:
        todo = {name: harm for name, harm in harms.items() if name not in done and (not ground.sample or name == sample)}
        if not todo:
            return
        with proxied(ground) as (broker, proxies, kafka), NetworkBench(broker, proxies, kafka, ground.new_folder("net")) as bench:
            if role is not None:
                bench.move_behind_proxy(role)
            for name, harm in todo.items():
                yield _having_met(find(bench, name, harm), bench.proxies[proxy].met)

    return Listed(tuple(harms), run)


def _having_met(finding: Finding, met: Met) -> Finding:
    """Return the finding with what its trouble met: harm that met no traffic shows nothing."""
    failed = finding.failed if met else (*finding.failed, f"the trouble met no traffic: nothing was {met.did}")
    return replace(finding, notes=f"{finding.notes}; {met}", failed=failed)


def _control_plane(role: str) -> Run:
    """Harm one role's way to the broker from the proposal on: the action is done once, and every record is stored once."""

    def find(bench: NetworkBench, name: str, harm: Harm) -> Finding:
        before, earlier = bench.repeats()
        lived = bench.live(_killing(bench, role, harm) if name == KILLED else _harming(bench, role, harm))
        behind, missing, double = bench.until_stored()
        twice, every = bench.repeats()
        wrong = [one for one in every if one not in earlier]
        more = [f"{other} was not ready meanwhile" for other, ready in lived.ready.items() if not ready] + wrong + bench.unaccounted()
        if name == KILLED and twice == before:
            more.append("nothing stands again of what was acknowledged to nobody")
        notes = f"the store had all after another {behind:.1f} s"
        found = _finding(lived, name, lost=missing, doubled=double, wrong=len(wrong), more=more, notes=notes)
        return replace(found, repeated=twice - before)

    return _over(KAFKA | {KILLED: LATE_ANSWERS} if role == "control" else KAFKA, find, "broker", role)


def _harming(bench: NetworkBench, role: str, harm: Harm) -> Trouble:
    proxy = bench.proxies["broker"]
    return Trouble(lambda: proxy.harm(*harm), proxy.heal, BROKER_S, role=role, fell=lambda: proxy.met)


def _killing(bench: NetworkBench, role: str, harm: Harm) -> Trouble:
    """Let every answer be late, and kill the role when its grant stands on the log: that it does can have been told to nobody."""
    proxy = bench.proxies["broker"]

    def end() -> None:
        bench.kill(role)
        proxy.cut()

    return Trouble(lambda: proxy.harm(*harm), end, KILLED_WITHIN_S, role=role, over=bench.granted)


def _finding(
    lived: Lived,
    name: str,
    *,
    lost: int | None = None,
    doubled: int | None = None,
    wrong: int | None = None,
    more: list[str] | None = None,
    notes: str = "",
) -> Finding:
    failed = tuple(lived.wrong + (more or []))
    return Finding(name, 1, lost=lost, doubled=doubled, wrong=wrong, recovery_s=(lived.outcome_s,), notes=notes, failed=failed)


def _target(bench: NetworkBench, name: str, harm: Harm) -> Finding:
    """Harm the call that acts: whatever was lost of it, the target did it once, and was asked before it is called again.

    What harms requests begins when the target has been looked at, what harms answers when it has been called and has not answered yet.
    """
    proxy, before = bench.proxies["target"], len(bench.target.heard)
    moment = ("POST", "/actions") if all(toxic.stream == "downstream" for toxic in harm) else ("GET", "/services")
    at_moment = lambda heard: heard.method == moment[0] and heard.path.startswith(moment[1])  # noqa: E731
    lived = bench.live(Trouble(lambda: proxy.harm(*harm), proxy.heal, TARGET_S, heard=at_moment, fell=lambda: proxy.met))
    calls = [one for one in bench.target.heard[before:] if one.path.startswith("/actions")]
    posts = [one for one in calls if one.method == "POST"]
    keys = {one.key for one in posts}
    finished = bench.finished(lived.key)
    more = [] if len(keys) == 1 else [f"{len(keys)} idempotency keys for one action"]
    if name in LOST and not (finished and finished.looked_up is (name in LOST_ANSWERS)):
        more.append("the fault did not fall where the case says")
    notes = f"{len(posts)} sent, {len(calls) - len(posts)} looked up"
    return _finding(lived, name, doubled=max(0, len(posts) - 1), more=more, notes=notes)


def _beside(name: str, find: Callable[[NetworkBench, Lived, str], Finding], lasts_s: float | None = None) -> Run:
    """Do harm to what stands beside the path: the loop goes on to its outcome while it lasts."""

    def found(bench: NetworkBench, harm_name: str, harm: Harm) -> Finding:
        proxy, bench.questions = bench.proxies[name], len(bench.llm.requests)
        began = time.monotonic()
        lived = bench.live(Trouble(lambda: proxy.harm(*harm), proxy.heal, lasts_s, early=True, fell=lambda: proxy.met))
        if (took := time.monotonic() - began) > BESIDE_S:
            lived.wrong.append(f"the loop took {took:.0f} s")
        return find(bench, lived, harm_name)

    return _over(HTTP, found, name)


def _store(bench: NetworkBench, lived: Lived, name: str) -> Finding:
    behind, missing, double = bench.until_stored()
    return Finding(name, 1, lost=missing, doubled=double, recovery_s=(behind,), failed=tuple(lived.wrong), notes="the loop did not wait")


def _llm(bench: NetworkBench, lived: Lived, name: str) -> Finding:
    """One question a proposal and one record of its answer, whatever became of it."""
    proposals, explained = bench.explained(lived.key)
    arrived = len(bench.llm.requests) - bench.questions
    wrong = [] if explained == proposals else [f"{explained} explanations of {proposals} proposals"]
    if not arrived and not bench.proxies["LLM"].met.up:
        wrong.append("the provider was never asked")
    return Finding(name, 1, doubled=max(0, arrived - proposals), failed=tuple(lived.wrong + wrong), notes=f"{arrived} questions arrived")


def _receiver(bench: NetworkBench, lived: Lived, name: str) -> Finding:
    """Count as lost what did not arrive, as wrong what arrived with two bodies under one key; nothing is given up in so short a time."""
    took, words = bench.until_told(lived.key)
    found = told(words, bench.heard_of(words))
    failed = [*lived.wrong, *found.failed]
    if name in LOST_ANSWERS and not found.repeated:
        failed.append("no notice came again whose answer was lost")
    return Finding(
        name,
        1,
        lost=found.lost,
        wrong=found.wrong,
        recovery_s=(took,),
        notes=f"{len(words)} notices",
        failed=tuple(failed),
        repeated=found.repeated,
    )


def _data_plane(role: str) -> Run:
    """Harm one role's way to the broker while samples flow; compare with what was sent and with a linear replay."""
    harms = KAFKA | {KILLED: LATE_ANSWERS}

    def run(ground: Ground, done: frozenset[str]) -> Iterator[Finding]:
        todo = {name: harm for name, harm in harms.items() if name not in done and (not ground.sample or name == ANSWERS_LOST)}
        if not todo:
            return
        with proxied(ground) as (broker, _, kafka), PlaneBench(broker, kafka, ground.new_folder("plane")) as bench:
            bench.move_behind_proxy(role)
            for name, harm in todo.items():
                killed = role if name == KILLED else None
                found = bench.during(name, partial(kafka.harm, *harm), kafka.cut if killed else kafka.heal, BROKER_S, killed)
                yield _having_met(found, kafka.met)

    return Listed(tuple(harms), run)


EVERY_HARM = "latency, requests lost, answers lost, cut in mid-request and in mid-answer, slow reader"
REPEATED = "killed before an acknowledgement came: the same ids again"
CHAPTER = Chapter(
    "network",
    "Network faults between every pair",
    (
        *(
            Case(
                f"{role}-broker",
                f"{role} and broker: {EVERY_HARM}, {BROKER_S:.0f} s each, under load; nothing lost, nothing differs; {REPEATED}",
                _data_plane(role),
                7,
            )
            for role in ("normalise", "detect", "dedup")
        ),
        *(
            Case(
                f"{role}-broker",
                f"{role} and broker: {EVERY_HARM}, from the proposal on; one effect, all stored, the logs add up, the others go on{more}",
                _control_plane(role),
                8,
            )
            for role, more in (("control", f"; {REPEATED}"), ("sink", ""), ("api", ""))
        ),
        Case(
            "control-target",
            f"control and target: {EVERY_HARM}; one effect, a lost answer is looked up",
            _over(HTTP, _target, "target"),
            5,
            in_sample=True,
        ),
        Case("sink-store", f"sink and store: {EVERY_HARM}, until the outcome; the loop goes on", _beside("store", _store), 5),
        Case("control-llm", f"control and LLM: {EVERY_HARM}, until the outcome; one answer", _beside("LLM", _llm), 4),
        Case(
            "control-receiver",
            f"control and webhook: {EVERY_HARM}, {RECEIVER_S:.0f} s; the same key again, none lost",
            _beside("receiver", _receiver, RECEIVER_S),
            4,
        ),
    ),
)
