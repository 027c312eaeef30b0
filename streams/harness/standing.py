"""Where everything stands that runs in an event loop: what a process that is stuck leaves behind for whoever mends it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from pathlib import PurePath
from types import AsyncGeneratorType, CoroutineType, FrameType, GeneratorType
from typing import Any

DEPTH = 40  # of one await within the other
FRAMES = 8  # of each task that are told: the innermost


def standing(*loops: asyncio.AbstractEventLoop) -> list[str]:
    """Return a line for each place where tasks of these loops wait, with how many do, the innermost call first."""
    tasks = [task for loop in loops for task in asyncio.all_tasks(loop)]
    found = Counter(" < ".join([_place(frame) for frame in reversed(list(_frames(task.get_coro())))][:FRAMES]) for task in tasks)
    return [f"{count} × {place}" if count > 1 else place for place, count in sorted(found.items()) if place]


def _frames(awaited: Any) -> Iterator[FrameType]:
    """Yield the frames of a coroutine, each within the one before; what is written in C has none."""
    for _ in range(DEPTH):
        match awaited:
            case CoroutineType():
                frame, within = awaited.cr_frame, awaited.cr_await
            case GeneratorType():
                frame, within = awaited.gi_frame, awaited.gi_yieldfrom
            case AsyncGeneratorType():
                frame, within = awaited.ag_frame, awaited.ag_await
            case _:
                return
        if frame is not None:
            yield frame
        awaited = within


def _place(frame: FrameType) -> str:
    return f"{PurePath(frame.f_code.co_filename).name}:{frame.f_lineno} {frame.f_code.co_qualname}"
