"""`airra top`: what the running roles do, live in a terminal."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Annotated

import typer
from rich.live import Live

from cli.output import STDOUT, JsonTo, out, write_json
from cli.settings import read_settings
from cli.top import roles
from cli.top.readings import Reading
from cli.top.roles import Role
from cli.top.rows import Row, rows
from cli.top.show import shown
from streams.harness.errors import Fatal

Ask = Callable[[Sequence[Role]], Mapping[str, Reading | str]]


def top(
    metrics: Annotated[
        list[str] | None, typer.Option("--metrics", metavar="URL", help="Ask here instead of the roles of this machine; may be repeated.")
    ] = None,
    every: Annotated[float, typer.Option(help="Seconds between two readings.", min=0.1)] = 2.0,
    once: Annotated[bool, typer.Option("--once", help="Show one reading after one interval, and end.")] = False,
    json_to: JsonTo = None,
) -> None:
    """Show live what each role takes in, what becomes of it, its lag, state, snapshots, detections, CPU and memory. Ctrl-C ends it.

    Rates are of the last interval. With --json a document a line for each reading; in a FILE the newest. Exit 1 where no role answers.

    Examples:  airra top  ·  airra top --once --json  ·  airra top --every 5 --metrics http://10.0.0.5:9100 --metrics http://10.0.0.6:9100
    """
    find = _finder(metrics)
    readings = watch(find, roles.ask, every, time.sleep)
    with contextlib.suppress(KeyboardInterrupt):
        if once:
            _print(next(readings), json_to)
        elif json_to != STDOUT and out.is_terminal:
            _live(readings, json_to)
        else:
            for found in readings:
                _print(found, json_to)


def _finder(metrics: Sequence[str] | None) -> Callable[[], Sequence[Role]]:
    """Return how the roles are found: a role that is started again has another address, so they are looked for each time."""
    if metrics:
        named = roles.given(metrics)
        return lambda: named
    settings = read_settings()
    return lambda: roles.running(settings)


def watch(find: Callable[[], Sequence[Role]], ask: Ask, every_s: float, sleep: Callable[[float], None]) -> Iterator[list[Row]]:
    """Yield what is seen after each interval; raise Fatal where no role answers in the first two readings."""
    before = _answered(_some(ask(find())))
    sleep(every_s)
    now = _some(ask(find()))
    while True:
        yield rows(before, now)
        before |= _answered(now)
        sleep(every_s)
        now = ask(find())


def _answered(now: Mapping[str, Reading | str]) -> dict[str, Reading]:
    return {role: found for role, found in now.items() if isinstance(found, Reading)}


def _some(now: Mapping[str, Reading | str]) -> Mapping[str, Reading | str]:
    """Return the answers; raise Fatal where there is none."""
    if not now:
        raise Fatal("no role runs on this machine: start them (`airra up`), set AIRRA_DATA_DIR to theirs, or name them with --metrics URL")
    if not _answered(now):
        raise Fatal("no role answers:\n" + "\n".join(f"  {role}: {reason}" for role, reason in now.items()))
    return now


def _live(readings: Iterator[list[Row]], json_to: str | None) -> None:
    with Live(console=out, auto_refresh=False) as live:
        for found in readings:
            live.update(shown(found), refresh=True)
            if json_to is not None:
                _write(found, json_to)


def _print(found: Sequence[Row], json_to: str | None) -> None:
    if json_to is not None:
        _write(found, json_to)
    if json_to != STDOUT:
        out.print(shown(found))


def _write(found: Sequence[Row], json_to: str) -> None:
    write_json(json_to, {"at": int(time.time() * 1000), "roles": [asdict(row) for row in found]}, indent=None)
