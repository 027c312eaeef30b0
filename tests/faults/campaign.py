"""The fault campaign of the harness on Apache Kafka: `python -m tests.faults.campaign --short|--full [--seed N]`.

Every scenario feeds a stage (a keyed counter with packed state, four partitions, outputs with derived ids) while processes and the
broker are killed, stopped, added; then outputs and final state are compared with a linear replay of the input log.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import random
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from schemas.topics import DLQ
from streams.harness.exits import EXIT_HOLE, EXIT_STUCK
from streams.harness.kafka import KafkaSettings
from streams.harness.topics import NewLog, create_topics
from tests.faults.acting import Target
from tests.faults.fleet import Fleet
from tests.faults.ledger import Pump, committed, difference, expected, length, read_all, saved_states
from tests.kafka.broker import KafkaBroker

PARTITIONS = 4
SETTLE_S = 90.0
IDLE_S = 60.0  # without progress: what is missing then is lost
BEYOND_S = 9.0  # above the session time-out of 6 s
_counter = itertools.count()


@dataclass
class Result:
    """One line of the table."""

    scenario: str
    sent: int = 0
    lost: int = 0
    wrong: int = 0
    repeated: int = 0
    states_equal: bool = True
    exits: dict[int, int] = field(default_factory=dict)
    seconds: float = 0.0
    notes: str = ""

    @property
    def passed(self) -> bool:
        return not self.lost and not self.wrong and self.states_equal

    def line(self) -> str:
        guard, watchdog = self.exits.get(EXIT_HOLE, 0), self.exits.get(EXIT_STUCK, 0)
        others = {code: count for code, count in self.exits.items() if code not in (EXIT_HOLE, EXIT_STUCK)}
        return (
            f"{self.scenario:<22}{self.sent:>8}{self.lost:>6}{self.wrong:>7}{self.repeated:>10}  {'yes' if self.states_equal else 'NO':<6}"
            f"{guard:>6}{watchdog:>10}{others or '-'!s:>14}{self.seconds:>8.0f}  {self.notes}"
        )


HEAD = f"{'scenario':<22}{'sent':>8}{'lost':>6}{'wrong':>7}{'repeated':>10}  {'state=':<6}{'guard':>6}{'watchdog':>10}{'other exits':>14}{'s':>8}"


class Addressed(Protocol):
    """A broker, or a cluster of them."""

    bootstrap: str


class Bench:
    """Topics, workers and pump of one scenario; `chain` names the stages of one worker, each reading what the one before wrote."""

    def __init__(
        self,
        broker: Addressed,
        folder: Path,
        seed: int,
        chain: int = 1,
        ballast: int = 0,
        *,
        revived: bool = True,
        partitions: int = PARTITIONS,
        replication: int = 1,
        snapshot_s: float = 1.0,
        make_fleet: Callable[[str, Path, list[str]], Fleet] = Fleet,
    ) -> None:
        mark = f"{seed}-{next(_counter)}-{random.SystemRandom().randrange(10**6)}"
        self.broker = broker
        self.partitions = partitions
        self.logs = [f"log{index}-{mark}" for index in range(chain + 1)]
        self.stages = [f"count{index}-{mark}" for index in range(chain)]
        create_topics(KafkaSettings(broker.bootstrap), [*(NewLog(name, partitions, {}) for name in self.logs), DLQ], replication)
        arguments = ["--replication", str(replication), "--snapshot-every", str(snapshot_s)]
        for index, name in enumerate(self.stages):
            arguments += ["--stage", f"{name}:{self.logs[index]}:{self.logs[index + 1]}:1.0:{ballast}"]
        self.fleet = make_fleet(broker.bootstrap, folder / mark, arguments)
        self.pump = Pump(broker.bootstrap, self.logs[0], seed, self.fleet.revive if revived else lambda: None)

    def at_work(self, per_second: float) -> None:
        """Pump until outputs stand on the last log that were not there before: what is killed now was doing something."""
        before, deadline = length(self.broker.bootstrap, self.logs[-1]), time.monotonic() + SETTLE_S
        while length(self.broker.bootstrap, self.logs[-1]) < before + 20 and time.monotonic() < deadline:
            self.pump.during(0.5, per_second)

    def settle(self, result: Result) -> Result:
        """Wait until all that a linear replay emits stands on the last log, stop the workers in order, compare."""
        self.pump.flush()
        self._caught_up()
        self.fleet.stop()
        result.sent += self.pump.sent
        for index, name in enumerate(self.stages):
            lost, wrong, repeated = self._compare(index)
            result.lost += lost
            result.wrong += wrong
            result.repeated += repeated
            states, _ = expected(self.broker.bootstrap, name, self.logs[index], self.logs[index + 1])
            saved = saved_states(self.broker.bootstrap, f"airra-{name}-state-changelog", range(self.partitions))
            equal = {partition: saved[partition][1].dump() for partition in saved} == {
                partition: state.dump() for partition, state in states.items()
            }
            result.states_equal = result.states_equal and equal
        result.exits = dict(self.fleet.exits)
        return result

    def _caught_up(self) -> None:
        """Wait until nothing is missing and all of it is saved, as long as more is than before: a busy machine is slow, not wrong.

        Outputs may all be there while their stage is still starting again after a kill: stopped then, it would not have saved its state.
        """
        self._grown(lambda: -sum(self._compare(index)[0] for index in range(len(self.stages))))
        end = sum(length(self.broker.bootstrap, log) for log in self.logs[:-1])
        self._grown(lambda: min(0, sum(self._saved(index) for index in range(len(self.stages))) - end))

    def _grown(self, so_far: Callable[[], int]) -> None:
        """Wait until this has grown to 0; give up once it has not grown for a while."""
        best, since = None, time.monotonic()
        while time.monotonic() - since < IDLE_S:
            self.fleet.revive()
            found = so_far()
            if found == 0:
                return
            if best is None or found > best:
                best, since = found, time.monotonic()
            time.sleep(0.5)

    def _saved(self, index: int) -> int:
        """Return how many records of its log a stage has committed: its durable state holds them."""
        return committed(self.broker.bootstrap, f"airra-{self.stages[index]}", self.logs[index])

    def _compare(self, index: int) -> tuple[int, int, int]:
        _, outputs = expected(self.broker.bootstrap, self.stages[index], self.logs[index], self.logs[index + 1])
        return difference(self.broker.bootstrap, self.logs[index + 1], outputs)


@dataclass(frozen=True)
class Size:
    """How hard a campaign is."""

    per_second: float
    rounds: int
    seed: int


def kills(broker: KafkaBroker, folder: Path, size: Size) -> Result:
    """SIGKILL one of two workers, start it again at once."""
    bench = Bench(broker, folder, size.seed)
    return _rounds(bench, size, "kill", bench.fleet.kill, down_s=0)


def kills_beyond(broker: KafkaBroker, folder: Path, size: Size) -> Result:
    """SIGKILL one of two workers and leave it down until its partitions have moved."""
    bench = Bench(broker, folder, size.seed)
    return _rounds(
        bench,
        Size(size.per_second, max(1, size.rounds // 2), size.seed),
        "kill, move",
        bench.fleet.kill,
        down_s=BEYOND_S,
    )


def terms(broker: KafkaBroker, folder: Path, size: Size) -> Result:
    """SIGTERM one of two workers, start it again at once."""
    bench = Bench(broker, folder, size.seed)
    took: list[float] = []
    result = _rounds(bench, size, "SIGTERM", lambda number: took.append(bench.fleet.terminate(number)), down_s=0)
    result.notes = f"stopped within {max(took):.1f} s"
    return result


def large_state(broker: KafkaBroker, folder: Path, size: Size) -> Result:
    """As kills, with snapshots of 5 MB in ten chunks."""
    bench = Bench(broker, folder, size.seed, ballast=5_000_000)
    return _rounds(bench, size, "kill, 5 MB state", bench.fleet.kill, down_s=0)


def chain_kills(broker: KafkaBroker, folder: Path, size: Size) -> Result:
    """Several apps in one process, killed and moved."""
    bench = Bench(broker, folder, size.seed, chain=3)
    return _rounds(bench, size, "kill, 3 apps", bench.fleet.kill, down_s=0)


def joins(broker: KafkaBroker, folder: Path, size: Size) -> Result:
    """A second worker joins under load, a third, and they leave again."""
    bench = Bench(broker, folder, size.seed)
    with contextlib.closing(bench.fleet):
        bench.fleet.start(0)
        for number in range(1, 1 + min(3, size.rounds)):
            bench.at_work(size.per_second)
            bench.fleet.start(number)
        bench.pump.during(4, size.per_second)
        bench.fleet.terminate(1)
        bench.pump.during(BEYOND_S, size.per_second)
        return bench.settle(Result("join, leave"))


def broker_restart(broker: KafkaBroker, folder: Path, size: Size) -> Result:
    """SIGKILL the broker under load and start it again on the same folder."""
    bench = Bench(broker, folder, size.seed)
    with contextlib.closing(bench.fleet):
        for number in (0, 1):
            bench.fleet.start(number)
        for _ in range(max(1, size.rounds // 3)):
            bench.at_work(size.per_second)
            broker.kill()
            bench.pump.send(500, size.per_second)
            broker.restart()
            bench.pump.during(3, size.per_second)
        return bench.settle(Result("broker SIGKILL"))


def effector_kills(broker: KafkaBroker, folder: Path, size: Size) -> Result:
    """SIGKILL the process of an effector: the recording target must see each key acted on once, or after a look-up that said no."""
    from confluent_kafka import Producer

    mark = f"{size.seed}-{next(_counter)}-{random.SystemRandom().randrange(10**6)}"
    topic = f"intents-{mark}"
    create_topics(KafkaSettings(broker.bootstrap), [NewLog(topic, 1, {}), DLQ])
    target = Target(folder / f"target-{mark}")
    fleet = Fleet(broker.bootstrap, folder / mark, ["--effector", f"act-{mark}:{topic}:{target.folder}"])
    producer = Producer({"bootstrap.servers": broker.bootstrap, "enable.idempotence": True})
    wanted = [f"intent{index}" for index in range(100 * size.rounds)]
    result = Result("effector kill", sent=len(wanted))
    begun = time.monotonic()
    chance = random.Random(size.seed)
    try:
        fleet.start(0)
        for start in range(0, len(wanted), 100):
            for key in wanted[start : start + 100]:
                producer.produce(topic, json.dumps({"id": key}).encode(), key.encode(), headers=[("airra.type", b"intent")])
            producer.flush(30)
            _until(lambda count=start + 20: _acted(target) >= count, fleet)  # it is at work
            time.sleep(chance.uniform(0.0, 0.3))
            fleet.kill(0)
            fleet.start(0)
        finished: set[str] = set()

        def all_finished() -> bool:
            records = read_all(broker.bootstrap, topic)
            finished.update(json.loads(record.value)["id"] for record in records if record.header("airra.type") == b"finished")
            return finished >= set(wanted)

        _until(all_finished, fleet)
        fleet.stop()
    finally:
        fleet.close()
    acts: dict[str, int] = {}
    looked: set[str] = set()
    for verb, key in target.requests():
        if verb == "lookup":
            looked.add(key)
        else:
            blind = acts.get(key, 0) > 0  # a look-up would have said that it is done
            acts[key] = acts.get(key, 0) + 1
            result.wrong += int(blind)
    result.lost = len(set(wanted) - finished)
    result.exits = dict(fleet.exits)
    result.notes = f"{len(looked)} looked up, {sum(acts.values())} acts"
    result.seconds = time.monotonic() - begun
    return result


def _acted(target: Target) -> int:
    return sum(1 for verb, _ in target.requests() if verb == "act")


def _until(reached: Callable[[], bool], fleet: Fleet, within_s: float = SETTLE_S) -> None:
    deadline = time.monotonic() + within_s
    while not reached() and time.monotonic() < deadline:
        fleet.revive()
        time.sleep(0.1)


def _rounds(bench: Bench, size: Size, title: str, strike: Callable[[int], None], down_s: float) -> Result:
    chance = random.Random(size.seed)
    with contextlib.closing(bench.fleet):
        for number in (0, 1):
            bench.fleet.start(number)
        for turn in range(size.rounds):
            victim = turn % 2
            bench.at_work(size.per_second)
            bench.pump.during(chance.uniform(0.5, 2.0), size.per_second)
            strike(victim)
            if down_s:
                bench.pump.during(down_s, size.per_second)
            bench.fleet.start(victim)
        return bench.settle(Result(title))


SCENARIOS = {
    scenario.__name__: scenario
    for scenario in (kills, kills_beyond, joins, terms, broker_restart, chain_kills, large_state, effector_kills)
}


def run(name: str, broker: KafkaBroker, folder: Path, size: Size) -> Result:
    begun = time.monotonic()
    result = SCENARIOS[name](broker, folder, size)
    result.seconds = time.monotonic() - begun
    return result


def main() -> int:
    cli = argparse.ArgumentParser(description=__doc__)
    length = cli.add_mutually_exclusive_group()
    length.add_argument("--short", action="store_true", help="as CI runs it (default)")
    length.add_argument("--full", action="store_true", help="three seeds, more rounds")
    cli.add_argument("--seed", type=int, default=1)
    cli.add_argument("--rounds", type=int, help="strikes a scenario, instead of the form's own number")
    cli.add_argument("--only", action="append", choices=sorted(SCENARIOS), help="these scenarios alone")
    args = cli.parse_args()
    sizes = [Size(2000, 10, args.seed + index) for index in range(3)] if args.full else [Size(1000, 3, args.seed)]
    if args.rounds:
        sizes = [Size(size.per_second, args.rounds, size.seed) for size in sizes]
    results = []
    folder = Path(tempfile.mkdtemp(prefix="airra-campaign-"))
    print(f"logs in {folder}", flush=True)
    with KafkaBroker(folder / "kafka") as broker:
        for size, name in itertools.product(sizes, args.only or SCENARIOS):
            print(f"{name}, seed {size.seed} ...", flush=True)
            results.append(run(name, broker, folder, size))
            print(HEAD, results[-1].line(), sep="\n", flush=True)
    print("", HEAD, *(result.line() for result in results), sep="\n")
    return 0 if all(result.passed for result in results) else 1


if __name__ == "__main__":
    sys.exit(main())
