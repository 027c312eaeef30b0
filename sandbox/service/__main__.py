"""A service process: `python -m sandbox.service`, its spec as the first line of standard input, commands after it."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
from typing import Any

import msgspec

from sandbox.channel import first_line, obey, say
from sandbox.parent import die_with_parent
from sandbox.service.app import Service
from sandbox.spec import Condition, ServiceSpec
from sandbox.web.server import Server

DRAIN_S = 3.0


class Process:
    """Carries out the commands of the control plane on one service."""

    def __init__(self, spec: ServiceSpec) -> None:
        self._spec = spec
        self._service = Service(spec)
        self._server = Server(self._service.handle)
        self._crash: asyncio.TimerHandle | None = None

    async def run(self) -> None:
        say(event="ready", pid=os.getpid())
        await obey(
            {
                "listen": self._listen,
                "drain": self._drain,
                "workers": self._workers,
                "condition": self._condition,
                "clear_cache": self._clear_cache,
                "poison": self._poison,
                "leak": self._leak,
            }
        )

    async def _listen(self, _: dict[str, Any]) -> None:
        await self._server.listen(self._spec.host, self._spec.port, shared=True)
        self._plan_crash(self._spec.condition.crash_every_s)

    async def _drain(self, _: dict[str, Any]) -> None:
        await self._server.drain(DRAIN_S)

    async def _workers(self, command: dict[str, Any]) -> None:
        self._service.workers.resize(command["count"])

    async def _condition(self, command: dict[str, Any]) -> None:
        before, self._service.condition = self._service.condition, msgspec.convert(command["condition"], Condition)
        if self._service.condition.crash_every_s != before.crash_every_s:
            self._plan_crash(min(self._service.condition.crash_every_s, 0.1))  # the first one now, then after each start

    async def _clear_cache(self, _: dict[str, Any]) -> None:
        if self._service.cache is not None:
            self._service.cache.clear()

    async def _poison(self, command: dict[str, Any]) -> None:
        if self._service.cache is not None:
            self._service.cache.poison(command["hit_ratio"])

    async def _leak(self, command: dict[str, Any]) -> None:
        self._service.leak.start(command["mb_per_s"])

    def _plan_crash(self, after_s: float) -> None:
        if self._crash is not None:
            self._crash.cancel()
        self._crash = asyncio.get_running_loop().call_later(after_s, os.kill, os.getpid(), signal.SIGKILL) if after_s > 0 else None


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C reaches the whole group; who started us stops us in order
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    spec = first_line(ServiceSpec)
    die_with_parent(spec.parent)
    gc.freeze()
    asyncio.run(Process(spec).run())


if __name__ == "__main__":
    main()
