"""The effector of the campaign: performs intents at a recording target that, like a real one, answers look-ups by idempotency key."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Sequence
from pathlib import Path

from streams.harness.stage import Append, Intent, Output, Record


class Target:
    """A folder: one file per idempotency key, created exclusively. Every request is also logged, so that a second start shows."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def look_up(self, key: str) -> bool:
        self._log(f"lookup {key}")
        return (self.folder / f"{key}.done").exists()

    def act(self, key: str) -> None:
        self._log(f"act {key}")
        (self.folder / f"{key}.done").touch(exist_ok=True)

    def requests(self) -> list[tuple[str, str]]:
        log = self.folder / "requests"
        return [(line.split()[0], line.split()[1]) for line in log.read_text().splitlines()] if log.exists() else []

    def _log(self, line: str) -> None:
        # One write of one short line to a file opened for appending: whole or not at all, whoever is killed.
        handle = os.open(self.folder / "requests", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(handle, f"{line}\n".encode())
        os.close(handle)


class Recording:
    """Every record with the header airra.type = intent is to be done once; started is written before, finished after."""

    concurrency = 2
    armed_start = False

    def __init__(self, name: str, topic: str, folder: str) -> None:
        self.name = name
        self.topic = topic
        self.target = Target(Path(folder))
        self.intents: dict[str, Intent] = {}
        self.started: set[str] = set()

    def fold(self, record: Record) -> None:
        kind = record.header("airra.type")
        key = json.loads(record.value)["id"] if record.value else ""
        if kind == b"intent":
            self.intents[key] = Intent(key, record.offset, None)
        elif kind == b"started":
            self.started.add(key)
        elif kind == b"finished":
            self.intents.pop(key, None)
            self.started.discard(key)

    def pending(self) -> Sequence[Intent]:
        return list(self.intents.values())

    async def begin(self, append: Append) -> None:
        del append

    async def end(self) -> None:
        pass

    async def still_own(self, written: int) -> None:
        """Hook: raise where what stands before this offset says that the log has a newer owner."""

    async def perform(self, intent: Intent, append: Append) -> None:
        body = json.dumps({"id": intent.id}).encode()
        if intent.id in self.started:
            done = self.target.look_up(intent.id)  # an earlier run began it
        else:
            (position,) = await append([Output(self.topic, intent.id.encode(), body, (("airra.type", b"started"),), partition=0)])
            await self.still_own(position.offset)
            done = False
        if not done:
            await asyncio.sleep(0.02)
            self.target.act(intent.id)
            await asyncio.sleep(0.02)
        await append([Output(self.topic, intent.id.encode(), body, (("airra.type", b"finished"),), partition=0)])
