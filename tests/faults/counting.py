"""The stage of the campaign: a keyed counter with packed state, and its linear replay. Run as a worker process by the campaign."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from schemas.base import derive_id
from streams.harness.stage import Output, Record, Stage

TOGETHER = 3  # outputs of one record that name one partition: they go to the broker together


class Counts:
    """Counts per key, a digest over all records in order, and the last offset."""

    def __init__(self, data: bytes | None = None) -> None:
        kept: dict[str, Any] = json.loads(data) if data else {"counts": {}, "sum": 0}
        self.counts: dict[str, int] = kept["counts"]
        self.sum: int = kept["sum"]

    def dump(self) -> bytes:
        return json.dumps({"counts": self.counts, "sum": self.sum}, sort_keys=True).encode()


def counting(
    name: str, source: str, target: str, tick_every_s: float | None = None, ballast: int = 0, together: int = TOGETHER
) -> Stage[Counts]:
    """Emit the count of the key of every fifth record, of every 25th `together` times; `ballast` bytes make the snapshot large."""

    def apply(state: Counts, record: Record, now: int) -> Sequence[Output]:
        if record.header("airra.type") == b"tick":
            return ()
        key = (record.key or b"").decode()
        state.counts[key] = count = state.counts.get(key, 0) + 1
        state.sum = (state.sum * 31 + record.offset + len(record.value)) % 1_000_000_007
        if count % 5:
            return ()
        where = record.topic, record.partition, record.offset
        body = {"key": key, "count": count, "sum": state.sum}
        if count % 25:
            return [_told(target, record.key, body, derive_id("cnt", *where))]
        return [_told(target, record.key, body, derive_id("cnt", *where, number), 0) for number in range(together)]

    def snapshot(state: Counts) -> bytes:
        return state.dump() + b" " * ballast

    return Stage(name, source, Counts, apply, snapshot, tick_every_s)


def _told(target: str, key: bytes | None, body: dict[str, Any], name: str, partition: int | None = None) -> Output:
    return Output(target, key, json.dumps({**body, "id": name}, sort_keys=True).encode(), partition=partition)


def replay(stage: Stage[Counts], records: Iterable[Record]) -> tuple[dict[int, Counts], list[Output]]:
    """Fold the log linearly: what an uninterrupted run would have given."""
    states: dict[int, Counts] = {}
    outputs: list[Output] = []
    for record in records:
        state = states.setdefault(record.partition, Counts())
        outputs.extend(stage.apply(state, record, record.timestamp))
    return states, outputs


def stop_here() -> None:
    """Load what takes long, then stop: whoever sends SIGCONT has a worker that joins at once."""
    import streams.harness.worker  # noqa: F401

    os.kill(os.getpid(), signal.SIGSTOP)


def main() -> None:
    from streams.harness.errors import Unfit
    from streams.harness.exits import refuse
    from streams.harness.kafka import KafkaSettings
    from streams.harness.readiness import Readiness
    from streams.harness.runner import serve
    from tests.faults.releases import released

    cli = argparse.ArgumentParser()
    cli.add_argument("--bootstrap", required=True)
    cli.add_argument("--instance", required=True)
    cli.add_argument("--data", type=Path, required=True)
    cli.add_argument("--stage", action="append", default=[], help="name:source:target[:tick_every_s[:ballast]]")
    cli.add_argument("--replication", type=int, default=1)
    cli.add_argument("--snapshot-every", type=float, default=1.0, help="seconds")
    cli.add_argument("--stopped", action="store_true", help="stop before joining, until SIGCONT")
    cli.add_argument("--release", type=int, default=0, help="of the stages: see tests/faults/releases.py")
    cli.add_argument("--effector", action="append", default=[], help="name:topic:folder of the recording target")
    args = cli.parse_args()
    stages: list[Stage[Any]] = []
    for text in args.stage:
        name, source, target, tick, ballast = [*text.split(":"), "", ""][:5]
        stages.append(released(counting(name, source, target, float(tick) if tick else None, int(ballast or 0)), args.release))
    effectors = []
    for text in args.effector:
        from tests.faults.acting import Recording

        effectors.append(Recording(*text.split(":", 2)))
    if args.stopped:
        stop_here()
    kafka, more = KafkaSettings(args.bootstrap), {"snapshot_every_s": args.snapshot_every, "replication": args.replication}
    try:
        asyncio.run(serve(stages, effectors, (), kafka, args.instance, args.data, Readiness(), **more))
    except Unfit as error:  # as `airra worker` does
        refuse(str(error))


if __name__ == "__main__":
    main()
