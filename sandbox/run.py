"""Run the system until somebody wants it to stop: clean traffic first, then the fault, and a JSON line for each step."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import resource
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sandbox.channel import ChildError
from sandbox.kafka import BrokerError, KafkaPublisher
from sandbox.notes import notes
from sandbox.parent import go_first, on_stdin_closed, parent_gone
from sandbox.scenario import Fault, Scenario
from sandbox.system import Sandbox, now_ms

WARM_UP_S = 60.0
TELL_EVERY_S = 5.0


@dataclass(frozen=True, slots=True)
class Options:
    scenario: Scenario
    fault: Fault | None
    seed: int
    broker: str
    work: Path
    token: str
    warm_up_s: float = WARM_UP_S
    test_hooks: bool = False


def tell(event: str, **fields: Any) -> None:
    """Print one line at once; when nobody reads any more, there is nobody left to tell."""
    try:
        sys.stdout.write(json.dumps({"event": event, **fields}) + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def run(options: Options) -> int:
    """Run to the end; return the exit code."""
    go_first()
    return asyncio.run(_run(options))


async def _run(options: Options) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.add_signal_handler(number, stop.set)
    on_stdin_closed(stop.set)
    began = time.monotonic()
    try:
        publisher = await asyncio.to_thread(KafkaPublisher, options.broker, lambda text: tell("warning", message=text))
    except BrokerError as error:
        print(f"sandbox: {error}", file=sys.stderr)
        return 1
    sandbox = Sandbox(
        options.scenario, seed=options.seed, work=options.work, token=options.token, publisher=publisher, test_hooks=options.test_hooks
    )
    try:
        return await until_first([_stopped(stop), _parent_gone(os.getppid()), _live(sandbox, options)])
    except ChildError as error:
        print(f"sandbox: {error}", file=sys.stderr)
        return 1
    finally:
        await sandbox.stop()
        tell("stopped", cpu_cores_mean=round(cpu_seconds() / (time.monotonic() - began), 3))


async def until_first(ways: list[Awaitable[int]]) -> int:
    """Wait until one of them ends, and cancel the others; return or raise what it did."""
    tasks = [asyncio.ensure_future(way) for way in ways]
    done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return done.pop().result()


async def _stopped(stop: asyncio.Event) -> int:
    await stop.wait()
    return 0


async def _parent_gone(parent: int) -> int:
    await parent_gone(parent)
    return 0


async def _live(sandbox: Sandbox, options: Options) -> int:
    for note in notes(sandbox.plan):
        tell("warning", message=note)
    await sandbox.start()
    paths = sandbox.paths
    tell("ready", control_url=sandbox.control_url, topology=str(paths.topology), metrics=str(paths.metrics), log=str(paths.log))
    await sandbox.open_doors()
    await sandbox.first_request.wait()
    if options.fault is not None:
        due = sandbox.first_request_at + max(options.fault.after_s, options.warm_up_s)
        await warm_up(due, lambda left: tell("warm_up", seconds_left=left))
        service = await sandbox.inject(options.fault)
        tell("fault_injected", at=now_ms(), fault=options.fault.label, kind=options.fault.kind, service=service)
    else:
        await warm_up(sandbox.first_request_at + options.warm_up_s, lambda left: tell("warm_up", seconds_left=left))
    await asyncio.Event().wait()
    return 0


async def warm_up(due: float, told: Callable[[int], None]) -> None:
    """Wait until a moment of the monotonic clock, and say now and then how long it takes."""
    while (left := due - time.monotonic()) > 0:
        told(round(left))
        await asyncio.sleep(min(left, TELL_EVERY_S))
    told(0)


def cpu_seconds() -> float:
    """Return what this process and all that it started and that have ended have used."""
    used = 0.0
    with contextlib.suppress(OSError):
        for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN):
            usage = resource.getrusage(who)
            used += usage.ru_utime + usage.ru_stime
    return used
