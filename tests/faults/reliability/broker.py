"""The broker: killed, away, one of three and two of three; its topics and offsets lost, made anew, restored elsewhere.

Outputs and states are compared with a linear replay of the input log, effects with the target's own log.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from tests.faults.bench import Bench, Result
from tests.faults.points.acting_world import LONG
from tests.faults.points.groups import until
from tests.faults.recovery import Tracker
from tests.faults.reliability import anew_sink, expired, lost_control, lost_logs, reread, restored
from tests.faults.reliability.case import Case, Chapter, Finding, Ground, Listed, single
from tests.faults.reliability.harness import finding
from tests.faults.site import READY_WITHIN_S, Site
from tests.kafka.broker import KafkaBroker
from tests.kafka.cluster import SIZE, KafkaCluster

PER_SECOND = 200.0
STEP_S = 0.2
KILLS = 5  # an item
SEEDS = {f"{KILLS} kills, seed {seed}": seed for seed in range(1, 6)}
CAUGHT_UP_WITHIN_S = 90.0
AWAY_S = 30.0
STANDS_WITHIN_S = 20.0  # a broker's session (9 s) and an election, then everything goes on
STATE = 1_000_000
HELD_S = 2.0
DONE_AFTER_S = 10.0  # once nobody holds it: a third of the time that the brokers are away
PATIENT = {"patience_s": 600.0}  # of the last check: for as long as brokers are away and come back


@contextlib.contextmanager
def at_work(kafka: KafkaBroker | KafkaCluster, folder: Path, seed: int, replication: int = 1) -> Iterator[tuple[Bench, Tracker]]:
    """Two workers over a state of a megabyte, and who tells how far they are behind."""
    bench = Bench(kafka, folder, seed, ballast=STATE, replication=replication)
    with contextlib.closing(bench.fleet), Tracker(kafka.bootstrap, bench.stages[0], *bench.logs) as tracker:
        for number in (0, 1):
            bench.fleet.start(number)
        yield bench, tracker


def one_broker(ground: Ground, done: frozenset[str]) -> Iterator[Finding]:
    """SIGKILL of the only broker, started again on the same folder."""
    for item, seed in SEEDS.items():
        if item not in done and (not ground.sample or seed == 1):
            yield _one_broker(ground, seed)


def _one_broker(ground: Ground, seed: int) -> Finding:
    times: list[float] = []
    with ground.own_kafka() as broker, at_work(broker, ground.new_folder("broker"), seed) as (bench, tracker):
        for _ in range(1 if ground.sample else KILLS):
            bench.at_work(PER_SECOND)
            at = time.monotonic()
            broker.kill()
            bench.pump.send(500, PER_SECOND)
            broker.restart()
            times.append(tracker.recovery(at, CAUGHT_UP_WITHIN_S, lambda: bench.pump.during(STEP_S, PER_SECOND)))
        found = finding(f"{KILLS} kills, seed {seed}", len(times), bench.settle(Result("broker")))
        return replace(found, recovery_s=_rounded(times))


def one_of_three(ground: Ground, done: frozenset[str]) -> Iterator[Finding]:
    """SIGKILL of one broker of three after the other, started again and in sync before the next falls."""
    todo = [seed for item, seed in SEEDS.items() if item not in done]
    if not todo:
        return
    with KafkaCluster(ground.new_folder("cluster")) as cluster:
        for seed in todo:
            times = []
            with at_work(cluster, ground.new_folder("three"), seed, SIZE) as (bench, tracker):
                for turn in range(KILLS):
                    bench.at_work(PER_SECOND)
                    cluster.kill((seed + turn) % SIZE)
                    times.append(_longest_stand(tracker, bench, STANDS_WITHIN_S))
                    cluster.restart((seed + turn) % SIZE)
                yield _stood(finding(f"{KILLS} kills, seed {seed}", KILLS, bench.settle(Result("cluster"))), times)


def one_away(ground: Ground) -> Finding:
    """Each broker of three stays away for a while: the stage goes on within seconds."""
    times = []
    with KafkaCluster(ground.new_folder("cluster")) as cluster, at_work(cluster, ground.new_folder("away"), 1, SIZE) as (bench, tracker):
        for number in range(SIZE):
            bench.at_work(PER_SECOND)
            cluster.kill(number)
            times.append(_longest_stand(tracker, bench, AWAY_S))
            cluster.restart(number)
        return _stood(finding("one of three away", SIZE, bench.settle(Result("one away"))), times)


def two_away(ground: Ground) -> Finding:
    """Two brokers of three stay away: nothing can be acknowledged; when they are back nothing is lost."""
    times = []
    with KafkaCluster(ground.new_folder("cluster")) as cluster, at_work(cluster, ground.new_folder("away"), 1, SIZE) as (bench, tracker):
        for turn in range(SIZE):
            bench.at_work(PER_SECOND)
            gone = turn, (turn + 1) % SIZE
            cluster.kill(*gone)
            bench.pump.during(AWAY_S, PER_SECOND / 10)
            at = time.monotonic()
            cluster.restart(*gone)
            times.append(tracker.recovery(at, CAUGHT_UP_WITHIN_S, lambda: bench.pump.during(STEP_S, PER_SECOND)))
        found = finding("two of three away", SIZE, bench.settle(Result("two away")))
        return replace(found, recovery_s=_rounded(times), notes=f"{found.notes}; recovery counts from their start")


def acting(ground: Ground) -> Finding:
    """An action with each broker of three away in turn; then two go away from under an action that is about to be done."""
    times: list[float] = []
    with (
        KafkaCluster(ground.new_folder("cluster")) as cluster,
        Site(cluster.bootstrap, ground.new_folder("site"), SIZE, LONG, PATIENT) as site,
    ):
        site.start()
        keys = [site.fall_ill()]
        failed = _held_alone(site, keys[-1])
        for number in range(SIZE):
            cluster.kill(number)
            keys.append(site.fall_ill())
            times.append(site.heal(keys[-1]))
            cluster.restart(number)
        keys += [site.fall_ill(approve=False), site.fall_ill()]
        before = site.effects()
        with _about_to_act(site, keys[-1]):
            cluster.kill(0, 1)
            site.approve(keys[-2])  # a person says yes to another one meanwhile
        site.pass_time(AWAY_S)
        failed += _acted_since(site, before, "two brokers were away")
        cluster.restart(0, 1)
        times += [site.heal(keys[-1]), site.heal(keys[-2])]
        lost, doubled, wrong = judged(site, keys)
        notes = f"exits {dict(site.exits)}" if site.exits else ""
        return Finding("five brokers killed", SIZE + 2, lost, doubled, wrong, recovery_s=_rounded(times), notes=notes, failed=tuple(failed))


@contextlib.contextmanager
def _about_to_act(site: Site, key: str) -> Iterator[None]:
    """Hold an action that stands granted in the midst of its last look; at the end of this it goes on."""
    with site.held() as reached:
        until(lambda: reached.is_set() and site.granted(key), READY_WITHIN_S, f"the action of {key} is about to be done", site.step)
        yield


def _held_alone(site: Site, key: str) -> list[str]:
    """Show that an action is about to be done where it is held: it is done as soon as nobody holds it."""
    before = site.effects()
    with _about_to_act(site, key):
        site.pass_time(HELD_S, site.renew)
        failed = _acted_since(site, before, "its last look was held")
    took = site.done_after(key, READY_WITHIN_S)
    site.heal(key)
    return failed + ([f"done only {took:.0f} s after it was let go"] if took > DONE_AFTER_S else [])


def _acted_since(site: Site, before: list[str], when: str) -> list[str]:
    return [] if site.effects() == before else [f"acted while {when}"]


def judged(site: Site, keys: list[str]) -> tuple[int, int, int]:
    """Return how many of these incidents had no effect, how many effects were too many, and how many belong to none of them."""
    counts = [site.of(key) for key in keys]
    return counts.count(0), sum(count - 1 for count in counts if count > 1), len(site.effects()) - sum(counts)


def _longest_stand(tracker: Tracker, bench: Bench, seconds: float) -> float:
    """Pump for so long, and on until caught up; return the oldest that a missing output became."""
    begun, longest = time.monotonic(), 0.0
    while time.monotonic() - begun < seconds or (tracker.behind > STEP_S and time.monotonic() - begun < CAUGHT_UP_WITHIN_S):
        bench.pump.during(STEP_S, PER_SECOND)
        longest = max(longest, tracker.behind)
    return longest


def _stood(found: Finding, times: list[float]) -> Finding:
    worst = max(times)
    failed = (f"outputs stood still for {worst:.0f} s",) if worst > STANDS_WITHIN_S else ()
    return replace(found, recovery_s=_rounded(times), failed=(*found.failed, *failed))


def _rounded(times: list[float]) -> tuple[float, ...]:
    return tuple(round(value, 1) for value in times)


CHAPTER = Chapter(
    "broker",
    "The broker, its topics and its offsets",
    (
        Case("one-broker", "25 times: SIGKILL of the only broker under load, started again", Listed(tuple(SEEDS), one_broker), 12),
        Case(
            "cluster",
            "25 times: SIGKILL of one broker of three under load, started again; nothing stops for long",
            Listed(tuple(SEEDS), one_of_three),
            minutes=20,
        ),
        Case("one-away", f"one of three stays away for {AWAY_S:.0f} s: nothing stops for long", single("one of three away", one_away), 4),
        Case("two-away", f"two of three stay away for {AWAY_S:.0f} s: nothing is lost", single("two of three away", two_away), 6),
        Case(
            "acting",
            "an action while one broker of three is away; two go away from under one that is granted: not done until they are back, then once",
            single("five brokers killed", acting),
            6,
        ),
        *lost_logs.CASES,
        *lost_control.CASES,
        *expired.CASES,
        *anew_sink.CASES,
        *reread.CASES,
        *restored.CASES,
    ),
)
