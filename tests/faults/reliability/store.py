"""The store: away for an hour, killed in mid-insert, fed twice over, its disk full. Every view against a linear replay of the log."""

from __future__ import annotations

import itertools
import random
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

from streams.sink.consumer import GROUP
from streams.sink.store import connect
from tests.faults.points.groups import Groups
from tests.faults.reliability.case import Case, Chapter, Finding, Ground
from tests.faults.store.group import caught_up, progress, set_back, struck
from tests.faults.store.sinking import SinkProcess, SmallDisk, until
from tests.faults.store.traffic import HOUR, compared, hour, linear, logs, mixed, prepare, produce, read, replayed
from tests.network.clickhouse import ClickHouseServer

DISK = 96 * 1024 * 1024
LEFT = 1024 * 1024  # of it: enough to go on for a while, too little for an hour


def judged(
    item: str, injected: int, ground: Ground, bootstrap: str, seen: dict[str, list[str]], recovery: tuple[float, ...] = (), *notes: str
) -> Finding:
    """Compare what a reader of the store sees with a store that was fed the log once, in order."""
    truth = linear(bootstrap, ground.new_folder("truth"))
    lost, doubled, wrong, differ = compared(truth, seen)
    failed = (f"differ: {', '.join(differ)}",) if differ else ()
    told = [f"{sum(map(len, truth.values()))} rows in {len(truth)} tables and views", *notes]
    return Finding(item, injected, lost, doubled, wrong, not differ, recovery, "; ".join(told), failed)


def away(ground: Ground, done: frozenset[str]) -> Iterator[Finding]:
    count = 2_000 if ground.sample else HOUR
    items: dict[str, Callable[[str], Finding]] = {
        "a server away": lambda item: server_away(item, ground, count),
        "a server away, the sink stopped past its session meanwhile": lambda item: server_away(item, ground, count, stopped=True),
        "the sink away, and its embedded store with it": lambda item: sink_away(item, ground, count),
    }
    for item, find in items.items():
        if item not in done:
            yield find(item)


def server_away(item: str, ground: Ground, count: int, *, stopped: bool = False) -> Finding:
    folder = ground.new_folder("away")
    with ground.own_kafka() as broker, ClickHouseServer(folder / "clickhouse") as server:
        prepare(broker.bootstrap)
        store_url = f"{server.url}/default"
        with SinkProcess(broker.bootstrap, folder / "sink", store_url=store_url) as sink:
            sink.wait_ready()
            server.kill()
            produce(broker.bootstrap, hour(count, 1))
            until(lambda: not sink.ready()[0], 60, "the sink says that its store is away")
            told = sink.ready()[1]
            if stopped:
                lost_and_back(broker.bootstrap, sink)
            server.start()
            recovery = caught_up(broker.bootstrap, sink)
            until(lambda: sink.ready()[0], 30, "the sink is ready again")
            seen = read(_asked(server))
        clear = "" if store_url.removesuffix("/default") in told else f"it did not say which store is away: {told}"
        found = judged(item, 2 if stopped else 1, ground, broker.bootstrap, seen, (recovery,), f"{count} records")
        return _also(found, clear)


def lost_and_back(bootstrap: str, sink: SinkProcess) -> None:
    """Stop it until its group has given up its partitions, and let it join again: they come back to it."""
    groups = Groups(bootstrap)

    def has_them() -> bool:
        return (groups.owners(GROUP) or {}).get(f"{GROUP}-0", 0) > 0

    sink.signal(signal.SIGSTOP)
    until(lambda: not has_them(), 60, "the sink's session is over")
    sink.signal(signal.SIGCONT)
    until(has_them, 60, "the sink has its partitions again")


def sink_away(item: str, ground: Ground, count: int) -> Finding:
    folder = ground.new_folder("away")
    with ground.own_kafka() as broker:
        prepare(broker.bootstrap)
        with SinkProcess(broker.bootstrap, folder) as sink:
            sink.wait_ready()
            sink.terminate()
        produce(broker.bootstrap, hour(count, 2))
        begun = time.monotonic()
        with SinkProcess(broker.bootstrap, folder) as sink:
            sink.wait_ready()
            caught_up(broker.bootstrap, sink)
            recovery = time.monotonic() - begun
            return judged(item, 1, ground, broker.bootstrap, read(sink.client()), (recovery,), f"{count} records")


def killed(ground: Ground, done: frozenset[str]) -> Iterator[Finding]:
    times = 3 if ground.sample else 15
    if (item := "the sink with its embedded store") not in done:
        yield sink_killed(item, ground, times)
    if (item := "a server") not in done:
        yield server_killed(item, ground, times)


def sink_killed(item: str, ground: Ground, times: int) -> Finding:
    """SIGKILL while it inserts: between two tables, within one, between insert and commit."""
    folder, chance = ground.new_folder("killed"), random.Random(3)
    with ground.own_kafka() as broker, progress(broker.bootstrap) as committed:
        prepare(broker.bootstrap)
        produce(broker.bootstrap, hour(HOUR, 3))
        fell = 0
        for _ in range(times):
            with SinkProcess(broker.bootstrap, folder) as sink:
                fell += struck(committed, chance, sink)
                sink.kill()
        with SinkProcess(broker.bootstrap, folder) as sink:
            sink.wait_ready()
            recovery = caught_up(broker.bootstrap, sink)
            found = judged(item, times, ground, broker.bootstrap, read(sink.client()), (recovery,), f"{fell} kills with records in hand")
        return _also(found, "" if fell > times // 2 else "too few kills fell while it inserted")


def server_killed(item: str, ground: Ground, times: int) -> Finding:
    folder, chance = ground.new_folder("killed"), random.Random(4)
    with ground.own_kafka() as broker, ClickHouseServer(folder / "clickhouse") as server, progress(broker.bootstrap) as committed:
        prepare(broker.bootstrap)
        with SinkProcess(broker.bootstrap, folder / "sink", store_url=f"{server.url}/default") as sink:
            sink.wait_ready()
            produce(broker.bootstrap, hour(HOUR, 4))
            fell = 0
            for _ in range(times):
                fell += struck(committed, chance, sink)
                server.kill()
                server.start()
            recovery = caught_up(broker.bootstrap, sink)
            found = judged(
                item,
                times,
                ground,
                broker.bootstrap,
                read(_asked(server)),
                (recovery,),
                f"{fell} kills with records in hand, the sink ended {sink.exits} times",
            )
        return _also(found, "" if fell > times // 2 else "too few kills fell while it inserted")


def twice(ground: Ground, done: frozenset[str]) -> Iterator[Finding]:
    """The sink reads everything again from the beginning; and, seed by seed, everything twice in batches of any size, topics mixed."""
    seeds = (1,) if ground.sample else (1, 2, 3)
    items = ["the sink's group set back to the beginning", *(f"twice in random batches, seed {seed}" for seed in seeds)]
    todo = [item for item in items if item not in done]
    if not todo:
        return
    folder = ground.new_folder("twice")
    with ground.own_kafka() as broker:
        prepare(broker.bootstrap)
        produce(broker.bootstrap, hour(2_000 if ground.sample else HOUR // 3, 5))
        for _ in range(2):
            with SinkProcess(broker.bootstrap, folder) as sink:
                sink.wait_ready()
                caught_up(broker.bootstrap, sink)
                seen = read(sink.client())
                sink.terminate()
            set_back(broker.bootstrap)
        if items[0] in todo:
            yield judged(items[0], 1, ground, broker.bootstrap, seen)
        records = logs(broker.bootstrap)
        for seed, item in enumerate(items[1:], 1):
            if item in todo:
                chance = random.Random(seed)
                again = [*mixed(records, chance), *mixed(records, chance)]
                sizes = (chance.randrange(1, 3_000) for _ in itertools.count())
                with replayed(ground.new_folder("again"), again, sizes) as seen:
                    yield judged(item, 1, ground, broker.bootstrap, seen, (), f"{len(again)} records")


def full(ground: Ground, done: frozenset[str]) -> Iterator[Finding]:
    """The disk of the embedded store runs full, stays so over a kill, and is made room on."""
    if (item := "the embedded store's disk") in done:
        return
    folder = ground.new_folder("full")
    with ground.own_kafka() as broker, SmallDisk(folder / "store", DISK) as disk, progress(broker.bootstrap) as committed:
        prepare(broker.bootstrap)
        wrong = []
        with SinkProcess(broker.bootstrap, folder, disk.inside) as sink:
            sink.wait_ready()
            disk.fill(LEFT)
            produce(broker.bootstrap, hour(HOUR, 6))
            until(lambda: not sink.ready()[0], 120, "the sink says that it has stopped")
            told = sink.ready()[1]
            if "space" not in told.lower():
                wrong.append(f"it did not say that its disk is full: {told}")
            if sink.ended():
                wrong.append("it ended")
            if not committed.behind():
                wrong.append("it committed everything, on a full disk")
            sink.kill()
        with SinkProcess(broker.bootstrap, folder, disk.inside) as sink:
            until(lambda: sink.ended() or "space" in sink.ready()[1].lower(), 120, "started on a full disk it says so")
            ended = sink.ended()
            disk.empty()
            if not ended:
                recovery = caught_up(broker.bootstrap, sink)
                seen = read(sink.client())
        if ended:
            with SinkProcess(broker.bootstrap, folder, disk.inside) as sink:
                recovery = caught_up(broker.bootstrap, sink)
                seen = read(sink.client())
        found = judged(item, 2, ground, broker.bootstrap, seen, (recovery,), f"it said: {told[:160]}")
        yield _also(found, *wrong)


def _asked(server: ClickHouseServer) -> Any:
    return SimpleNamespace(client=connect(f"{server.url}/default"))


def _also(found: Finding, *wrong: str) -> Finding:
    return replace(found, failed=(*found.failed, *(text for text in wrong if text)))


CHAPTER = Chapter(
    "store",
    "The store",
    (
        Case(
            "away", f"ClickHouse away for an hour of traffic ({HOUR} records), then backfilled: every view as if it had been there", away, 3
        ),
        Case("killed", "SIGKILL of the sink, and of the server, in mid-insert, 15 times each: every view right, each row once", killed, 6),
        Case("twice", "all topics read twice, in batches of random sizes, topics mixed: every view identical", twice, 4, in_sample=True),
        Case("full", "the disk full, the sink killed on it, then room again: it stops and says so, and nothing is lost", full, 3),
    ),
)
