"""How the sandbox talks with its processes: a JSON line in, a JSON line back; a closed pipe ends the process."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import msgspec

Command = Callable[[dict[str, Any]], Awaitable[None]]
START_S = 20.0
MAX_LINE = 1_048_576

T = TypeVar("T")


class ChildError(Exception):
    """A process of the sandbox ended or does not answer."""


# ---- the side of the child


def say(**message: Any) -> None:
    """Write one line to whoever started this process."""
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def first_line(kind: type[T]) -> T:
    """Read how this process is meant to be built."""
    return msgspec.json.decode(sys.stdin.buffer.readline(), type=kind)


async def obey(commands: Mapping[str, Command]) -> None:
    """Do what comes in, one after the other, until the pipe is closed."""
    reader = asyncio.StreamReader(limit=MAX_LINE)
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        message = json.loads(line)
        await commands[message["do"]](message)
        say(done=message["id"])


# ---- the side of the parent


class Child:
    """A running process of ours."""

    def __init__(self, name: str, process: asyncio.subprocess.Process, on_event: Callable[[dict[str, Any]], None]) -> None:
        self.name = name
        self._process = process
        self._on_event = on_event
        self._asked: dict[int, asyncio.Future[None]] = {}
        self._commands = 0
        self._ready: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._reading = asyncio.create_task(self._read())

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._process.returncode is None

    @classmethod
    async def start(
        cls, name: str, module: str, spec: msgspec.Struct, log: Path, on_event: Callable[[dict[str, Any]], None] = lambda _: None
    ) -> Child:
        """Start a module with its spec and wait until it is ready; raise ChildError."""
        with log.open("ab") as stderr:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                module,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=stderr,
                env=_environment(),
            )
        child = cls(name, process, on_event)
        child._write(msgspec.json.encode(spec))
        try:
            async with asyncio.timeout(START_S):
                await child._ready
        except (TimeoutError, ChildError) as error:
            await child.stop(0)
            raise ChildError(f"{name} did not start; see {log}") from error
        return child

    async def ask(self, do: str, **arguments: Any) -> None:
        """Send a command and wait until it is done; raise ChildError when the process ends before."""
        if not self.alive:
            raise ChildError(f"{self.name} has ended")
        self._commands += 1
        number = self._commands
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._asked[number] = done
        self._write(json.dumps({"do": do, "id": number, **arguments}).encode())
        await done

    async def ended(self) -> int:
        return await self._process.wait()

    async def stop(self, grace_s: float) -> None:
        """Close the pipe, which is the sign to end; kill what has not after the grace."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            async with asyncio.timeout(grace_s):
                await self._process.wait()
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()
        await self._reading

    def _write(self, line: bytes) -> None:
        if self._process.stdin is not None and not self._process.stdin.is_closing():
            self._process.stdin.write(line + b"\n")

    async def _read(self) -> None:
        assert self._process.stdout is not None  # noqa: S101 - it was asked for as a pipe
        while line := await self._process.stdout.readline():
            message = json.loads(line)
            if "done" in message:
                asked = self._asked.pop(message["done"])
                if not asked.done():
                    asked.set_result(None)
            elif message.get("event") == "ready" and not self._ready.done():
                self._ready.set_result(message)
            else:
                self._on_event(message)
        gone = ChildError(f"{self.name} has ended")
        _give_up(self._ready, gone)
        for asked in self._asked.values():
            _give_up(asked, gone)


def _give_up(waiting: asyncio.Future[Any], error: ChildError) -> None:
    if not waiting.done():
        waiting.set_exception(error)
        waiting.exception()  # seen: nobody may be waiting for it


def _environment() -> dict[str, str]:
    """Return what a child needs of our environment: where Python finds things, and nothing that could be a secret."""
    needed = {"PATH", "HOME", "LANG", "TMPDIR", "LD_LIBRARY_PATH", "VIRTUAL_ENV"}
    keep = {name: value for name, value in os.environ.items() if name in needed}
    here = str(Path(__file__).resolve().parent.parent)
    path = os.environ.get("PYTHONPATH")
    return {**keep, "PYTHONPATH": f"{here}{os.pathsep}{path}" if path else here, "PYTHONHASHSEED": "0"}
