"""One service as its operator sees it: what it should be, the process that is it now, and how the one becomes the other."""

from __future__ import annotations

import asyncio
import contextlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from sandbox.channel import Child, ChildError
from sandbox.spec import Condition, ServiceSpec

RESPAWN_S = 1.5  # a supervisor's back-off before a process that died is started again
STOP_S = 1.0


@dataclass(frozen=True, slots=True)
class Build:
    """What a release makes of a service."""

    error_ratio: float = 0.0
    add_s: float = 0.0


class Target:
    """Keeps one process running, and changes it without losing a request where the change is wanted."""

    def __init__(self, spec: ServiceSpec, release: str, flags: dict[str, bool], log: Path) -> None:
        self.lock = asyncio.Lock()  # one change at a time
        self.name = spec.name
        self.spec = spec
        self.workers = spec.workers
        self.release = release
        self.previous_release: str | None = None
        self.flags = dict(flags)
        self.incarnation = 0
        self.builds: dict[str, Build] = {release: Build()}
        self.slow_flag = next((flag for flag, on in flags.items() if not on), "")
        self.slow_hold_s = 0.0
        self.slow_connections = 0
        self.cpu_factor = 1.0
        self.crash_every_s = 0.0
        self._log = log
        self._child: Child | None = None
        self._watching: asyncio.Task[None] | None = None
        self._stopping = False

    @property
    def up(self) -> bool:
        return self._child is not None and self._child.alive

    @property
    def pid(self) -> int | None:
        return self._child.pid if self._child is not None and self._child.alive else None

    def view(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "workers": self.workers,
            "release": self.release,
            "previous_release": self.previous_release,
            "flags": dict(self.flags),
            "incarnation": self.incarnation,
            "up": self.up,
        }

    def condition(self) -> Condition:
        """Return what the release, the flags and the users make the process do."""
        build = self.builds[self.release]
        slow = self.flags.get(self.slow_flag, False)
        return Condition(
            error_ratio=build.error_ratio,
            add_s=build.add_s,
            cpu_factor=self.cpu_factor,
            slow_hold_s=self.slow_hold_s if slow else 0.0,
            slow_connections=self.slow_connections if slow else 0,
            crash_every_s=self.crash_every_s,
        )

    async def start(self) -> None:
        """Start the first process."""
        async with self.lock:
            await self._replace()
        self._watching = asyncio.create_task(self._watch())

    async def stop(self) -> None:
        self._stopping = True
        if self._watching is not None:
            self._watching.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._watching
        if self._child is not None:
            await self._child.stop(STOP_S)

    async def restart(self) -> None:
        """Put a new process in the place of the old one: it takes over the port, then the old one answers what it has and ends."""
        async with self.lock:
            await self._replace()

    async def deploy(self, release: str, build: Build | None = None) -> None:
        """Run another release."""
        async with self.lock:
            if build is not None:
                self.builds[release] = build
            self.release, self.previous_release = release, self.release
            await self._replace()

    async def scale(self, workers: int) -> None:
        async with self.lock:
            self.workers = workers
            await self._tell("workers", count=workers)

    async def set_flag(self, flag: str, *, enabled: bool) -> None:
        async with self.lock:
            self.flags[flag] = enabled
            await self._tell("condition", condition=msgspec.to_builtins(self.condition()))

    async def clear_cache(self) -> None:
        async with self.lock:
            await self._tell("clear_cache")

    async def worsen(self, *, cpu_factor: float = 1.0, crash_every_s: float = 0.0) -> None:
        """Let requests cost more, or the process die."""
        async with self.lock:
            self.cpu_factor, self.crash_every_s = cpu_factor, crash_every_s
            await self._tell("condition", condition=msgspec.to_builtins(self.condition()))

    async def spoil(self, do: str, **arguments: float) -> None:
        """Spoil the memory of the present process; another one has its own."""
        async with self.lock:
            await self._tell(do, **arguments)

    async def _tell(self, do: str, **arguments: Any) -> None:
        # A process that is down learns it from its spec when it comes back.
        if self._child is not None and self._child.alive:
            with contextlib.suppress(ChildError):
                await self._child.ask(do, **arguments)

    async def _replace(self) -> None:
        old = self._child
        self.incarnation += 1
        spec = msgspec.structs.replace(
            self.spec, workers=self.workers, condition=self.condition(), parent=os.getpid(), seed=f"{self.spec.seed}:{self.incarnation}"
        )
        new = await Child.start(self.name, "sandbox.service", spec, self._log)
        self._child = new
        try:
            await new.ask("listen")
            if old is not None:
                with contextlib.suppress(ChildError):
                    await old.ask("drain")
        finally:
            if old is not None:
                await old.stop(STOP_S)

    async def _watch(self) -> None:
        while not self._stopping:
            child = self._child
            if child is not None:
                await child.ended()
            if child is not self._child:
                continue  # replaced on purpose
            await asyncio.sleep(RESPAWN_S)
            async with self.lock:
                if not self.up:
                    with contextlib.suppress(ChildError):
                        await self._replace()


def bumped(release: str) -> str:
    """Return the name of the next release."""
    head, dot, last = release.rpartition(".")
    return f"{head}{dot}{int(last) + 1}" if last.isdigit() else f"{release}-next"
