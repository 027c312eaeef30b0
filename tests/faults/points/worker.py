"""The struck worker of the harness: the campaign's counting stage, or its effector, with the troubles that a scene asks for.

A trouble is a file in the folder `--trouble`: `retry` makes the fold raise Retryable now and then, `stall` makes it raise that only,
`slow` keeps what is performed running for a while.
"""

from __future__ import annotations

import argparse
import asyncio
import fcntl
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from streams.harness.errors import Fatal, Poison, Retryable
from streams.harness.stage import Append, Intent, Output, Record, Stage
from tests.faults.acting import Recording, Target
from tests.faults.counting import Counts, counting

RETRIED_OF = 25
WIDE = 3_000  # bytes of an output that its topic refuses
WIDE_KEYS = b"7"  # what their keys end with: some are on every partition, so that every worker passes there
SLOW_S = 3.0  # longer than a process takes to start and join: something runs when the partition goes


def is_wide(key: bytes | None) -> bool:
    return (key or b"").endswith(WIDE_KEYS)


def troubled(stage: Stage[Counts], trouble: Path, narrow: str) -> Stage[Counts]:
    """Return the stage with its troubles; records of some keys emit what the topic `narrow` refuses, which changes nothing else."""
    tried: dict[tuple[int, int], int] = {}

    def apply(state: Counts, record: Record, now: int) -> Sequence[Output]:
        if (trouble / "stall").exists():
            raise Retryable("stalled")
        at = (record.partition, record.offset)
        if record.offset % RETRIED_OF == 0 and (trouble / "retry").exists() and tried.get(at, 0) < 1:
            tried[at] = tried.get(at, 0) + 1
            raise Retryable("not yet")
        outputs = stage.apply(state, record, now)
        wide = [Output(narrow, record.key, b"w"), Output(narrow, record.key, b"w" * WIDE)] if is_wide(record.key) else []
        return [*outputs, *wide]

    return replace(stage, apply=apply)


class FencedTarget(Target):
    """Refuses a lower token than the highest it has seen, and says when a key is acted on that was done."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.token = -1

    def _asked(self, verb: str, key: str) -> bool:
        with (self.folder / "fence").open("a+") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.seek(0)
            if int(file.read() or -1) > self.token:
                self._log(f"refused {key}")
                raise Fatal("a newer owner has been at the target")
            file.truncate(0)
            file.write(str(self.token))
            file.flush()
            done = (self.folder / f"{key}.done").exists()
            self._log(f"{'again' if done and verb == 'act' else verb} {key}")
            if verb == "act":
                (self.folder / f"{key}.done").touch()
            return done

    def look_up(self, key: str) -> bool:
        return self._asked("lookup", key)

    def act(self, key: str) -> None:
        self._asked("act", key)


class Fenced(Recording):
    """As the role that acts: it takes the log over, and the offset of that record is its token. What is no JSON is poison."""

    def __init__(self, trouble: Path, name: str, topic: str, folder: str, armed: str = "") -> None:
        super().__init__(name, topic, folder)
        self.target: FencedTarget = FencedTarget(Path(folder))
        self.armed_start = bool(armed)
        self._trouble = trouble
        self._epoch = self._folded = -1
        self._ready = False

    def fold(self, record: Record) -> None:
        self._folded = record.offset
        if record.header("airra.type") == b"epoch":
            self._epoch = record.offset
        try:
            json.loads(record.value)
        except ValueError as error:
            raise Poison("not_json", str(error)) from error
        super().fold(record)

    async def perform(self, intent: Intent, append: Append) -> None:
        await super().perform(intent, append)
        if (self._trouble / "slow").exists():
            await asyncio.sleep(SLOW_S)

    async def still_own(self, written: int) -> None:
        while self._folded < written:
            await asyncio.sleep(0.005)
        if self._epoch > self.target.token:
            raise Fatal(f"a newer owner has the log since offset {self._epoch}")

    async def begin(self, append: Append) -> None:
        if not self._ready:
            self._ready = True
            raise Retryable("what it needs is not there yet")
        (position,) = await append([Output(self.topic, b"epoch", b'{"id": "epoch"}', (("airra.type", b"epoch"),), partition=0)])
        self.target.token = position.offset


def main() -> None:
    from streams.harness.kafka import KafkaSettings
    from streams.harness.readiness import Readiness
    from streams.harness.runner import serve

    cli = argparse.ArgumentParser()
    for name in ("--bootstrap", "--instance"):
        cli.add_argument(name, required=True)
    for name in ("--data", "--trouble"):
        cli.add_argument(name, type=Path, required=True)
    cli.add_argument("--stage", default="", help="name:source:target:narrow")
    cli.add_argument("--effector", default="", help="name:topic:folder[:armed]")
    args = cli.parse_args()
    stages: list[Stage[Any]] = []
    if args.stage:
        name, source, target, narrow = args.stage.split(":")
        stages = [troubled(counting(name, source, target, tick_every_s=1.0), args.trouble, narrow)]
    effectors = [Fenced(args.trouble, *args.effector.split(":"))] if args.effector else []
    asyncio.run(serve(stages, effectors, (), KafkaSettings(args.bootstrap), args.instance, args.data, Readiness(), snapshot_every_s=1.0))


if __name__ == "__main__":
    main()
