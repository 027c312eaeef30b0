"""The users: an open loop of requests, seeded, in a rhythm, with noise. Runs as a process of its own."""

from __future__ import annotations

import asyncio
import math
import os
import random
import signal
import time
from typing import Any

import msgspec

from sandbox.channel import first_line, obey, say
from sandbox.parent import die_with_parent
from sandbox.spec import LoadSpec, Stream
from sandbox.web.client import CallFailedError, Client

TIMEOUT_S = 5.0
MAX_IN_FLIGHT = 1024
JITTER = 0.5  # of the ordinary distance between two requests


class Rhythm:
    """How much of the ordinary load there is at a moment: rhythm, noise drawn anew each second, and a rise if one was asked for."""

    def __init__(self, spec: LoadSpec) -> None:
        self._spec = spec
        self._rise = (0.0, 1.0, 1.0, 0.0)

    def rise(self, now_s: float, factor: float, ramp_s: float, hold_s: float) -> None:
        self._rise = (now_s, factor, ramp_s, hold_s)

    def at(self, now_s: float, swing: float = 1.0) -> float:
        """Return the factor at a time since the first request, of what follows so much of the rhythm."""
        # Drawn from the second itself, so that it does not depend on which stream asks first.
        noise = random.Random(f"{self._spec.seed}:noise:{int(now_s)}").gauss(1, self._spec.noise)
        wave = 1 + swing * self._spec.amplitude * math.sin(2 * math.pi * now_s / self._spec.rhythm_s)
        return wave * min(2.0, max(0.2, noise)) * self._risen(now_s)

    def _risen(self, now_s: float) -> float:
        start, factor, ramp_s, hold_s = self._rise
        up = (now_s - start) / ramp_s
        down = (start + ramp_s + hold_s + ramp_s - now_s) / ramp_s
        return 1 + (factor - 1) * min(1.0, max(0.0, min(up, down)))


class Generator:
    """Sends each stream's requests at their time, whether or not the last one was answered."""

    def __init__(self, spec: LoadSpec) -> None:
        self._spec = spec
        self._client = Client()
        self._rhythm = Rhythm(spec)
        self._in_flight: set[asyncio.Task[None]] = set()
        self._streams: list[asyncio.Task[None]] = []
        self._started = 0.0

    async def go(self, _: dict[str, Any]) -> None:
        self._started = time.monotonic()
        say(event="first_request", at=int(time.time() * 1000))
        for i, stream in enumerate(self._spec.streams):
            self._add(stream, f"stream{i}")

    async def add(self, command: dict[str, Any]) -> None:
        self._add(msgspec.convert(command["stream"], Stream), f"added{len(self._streams)}")

    async def rise(self, command: dict[str, Any]) -> None:
        self._rhythm.rise(time.monotonic() - self._started, command["factor"], command["ramp_s"], command["hold_s"])

    def _add(self, stream: Stream, name: str) -> None:
        self._streams.append(asyncio.create_task(self._send(stream, random.Random(f"{self._spec.seed}:{name}"))))

    async def _send(self, stream: Stream, rng: random.Random) -> None:
        due = time.monotonic()
        while True:
            distance = 1 / (stream.rps * self._rhythm.at(due - self._started, stream.swing))
            due += distance * rng.uniform(1 - JITTER, 1 + JITTER)
            late = time.monotonic() - due
            if late > 1:  # the machine stood still: what was missed is missed, not made up for in one burst
                due += late
            await asyncio.sleep(max(0.0, -late))
            if len(self._in_flight) < MAX_IN_FLIGHT:
                task = asyncio.create_task(self._ask(stream))
                self._in_flight.add(task)
                task.add_done_callback(self._in_flight.discard)

    async def _ask(self, stream: Stream) -> None:
        try:
            await self._client.request(stream.host, stream.port, "GET", stream.path, timeout_s=TIMEOUT_S)
        except CallFailedError:
            return  # a user who gets nothing comes back later, like everybody else


async def run(spec: LoadSpec) -> None:
    generator = Generator(spec)
    say(event="ready", pid=os.getpid())
    await obey({"go": generator.go, "add": generator.add, "rise": generator.rise})


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    spec = first_line(LoadSpec)
    die_with_parent(spec.parent)
    asyncio.run(run(spec))


if __name__ == "__main__":
    main()
