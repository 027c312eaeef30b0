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
from dataclasses import dataclass
from pathlib import Path

from schemas.topics import DLQ
from streams.harness.exits import EXIT_FATAL, EXIT_STUCK
from streams.harness.kafka import KafkaSettings
from streams.harness.topics import NewLog, create_topics
from tests.faults.acting import Target
from tests.faults.bench import BEYOND_S, HEAD, SETTLE_S, Bench, Result, unique
from tests.faults.fleet import Fleet
from tests.faults.ledger import read_all
from tests.kafka.broker import KafkaBroker


@dataclass(frozen=True)
class Size:
    """How hard a campaign is."""

    per_second: float
    rounds: int
    seed: int


class Effects(Result):
    """What a target was asked to do: `wrong` counts what it was asked to do a second time; no state is compared."""


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
        joined = range(1, 1 + min(3, size.rounds))
        for number in joined:
            bench.at_work(size.per_second)
            bench.fleet.start(number)
        for number in joined:
            bench.pump.during(4, size.per_second)
            bench.fleet.terminate(number)
        bench.pump.during(BEYOND_S, size.per_second)
        return bench.settle(Result("join, leave", 2 * len(joined)))


def broker_restart(broker: KafkaBroker, folder: Path, size: Size) -> Result:
    """SIGKILL the broker under load and start it again on the same folder."""
    bench = Bench(broker, folder, size.seed)
    with contextlib.closing(bench.fleet):
        for number in (0, 1):
            bench.fleet.start(number)
        rounds = max(1, size.rounds // 3)
        for _ in range(rounds):
            bench.at_work(size.per_second)
            broker.kill()
            bench.pump.send(500, size.per_second)
            broker.restart()
            bench.pump.during(3, size.per_second)
        return bench.settle(Result("broker SIGKILL", rounds))


def effector_kills(broker: KafkaBroker, folder: Path, size: Size) -> Result:
    """SIGKILL the process of an effector: the recording target must see each key acted on once, or after a look-up that said no."""
    from confluent_kafka import Producer

    mark = unique(size.seed)
    topic = f"intents-{mark}"
    create_topics(KafkaSettings(broker.bootstrap), [NewLog(topic, 1, {}), DLQ])
    target = Target(folder / f"target-{mark}")
    fleet = Fleet(broker.bootstrap, folder / mark, ["--effector", f"act-{mark}:{topic}:{target.folder}"])
    producer = Producer({"bootstrap.servers": broker.bootstrap, "enable.idempotence": True})
    wanted = [f"intent{index}" for index in range(100 * size.rounds)]
    result = Effects("effector kill", size.rounds, sent=len(wanted))
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
        return bench.settle(Result(title, size.rounds))


SCENARIOS = {
    scenario.__name__: scenario
    for scenario in (kills, kills_beyond, joins, terms, broker_restart, chain_kills, large_state, effector_kills)
}

# Codes with which a worker may end by itself: it says that it cannot go on without a broker.
EXCUSED = {"broker_restart": frozenset({EXIT_FATAL, EXIT_STUCK})}


def run(name: str, broker: KafkaBroker, folder: Path, size: Size) -> Result:
    begun = time.monotonic()
    result = SCENARIOS[name](broker, folder, size)
    result.seconds = time.monotonic() - begun
    return result


def unexpected(name: str, result: Result) -> list[int]:
    """Return the codes with which workers ended by themselves and should not have."""
    return sorted(set(result.exits) - EXCUSED.get(name, frozenset()))


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
    strange: list[str] = []
    folder = Path(tempfile.mkdtemp(prefix="airra-campaign-"))
    print(f"logs in {folder}", flush=True)
    with KafkaBroker(folder / "kafka") as broker:
        for size, name in itertools.product(sizes, args.only or SCENARIOS):
            print(f"{name}, seed {size.seed} ...", flush=True)
            results.append(run(name, broker, folder, size))
            strange += [f"{name}, seed {size.seed}: a worker ended by itself with {code}" for code in unexpected(name, results[-1])]
            print(HEAD, results[-1].line(), sep="\n", flush=True)
    print("", HEAD, *(result.line() for result in results), *strange, sep="\n")
    return 0 if all(result.passed for result in results) and not strange else 1


if __name__ == "__main__":
    sys.exit(main())
