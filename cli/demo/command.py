"""`airra demo`: the whole loop on this machine, from a broken service to a verified outcome."""

from __future__ import annotations

import math
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from cli import preflight
from cli.config import ConfigError
from cli.demo.asking import approve_all, asking, leave_it
from cli.demo.ending import FOUND_WITHIN_S, THINKING_S, WARM_UP_S, WATCHED_S, Until, later
from cli.demo.moments import Moments
from cli.demo.run import Approver, Plan, Run, Say
from cli.demo.sandbox import faults
from cli.demo.story import Story, found, met
from cli.output import STDOUT, JsonTo, err, out, say, write_json

INTERRUPTED = 130
ROOT = Path(__file__).resolve().parents[2]
DEFAULT_SCENARIO = ROOT / "sandbox" / "scenarios" / "shop.yaml"


def demo(
    scenario: Annotated[Path, typer.Option(help="The system to break.")] = DEFAULT_SCENARIO,
    fault: Annotated[str | None, typer.Option(help="A fault of the file by name; default its first; none: no fault.")] = None,
    seed: Annotated[int, typer.Option(help="Of the load and every random draw in the sandbox.")] = 1,
    seconds: Annotated[float, typer.Option(help="With --fault none: how long.")] = 60.0,
    yes: Annotated[bool, typer.Option("--yes", help="Approve as the demo's operator; without it you are asked.")] = False,
    until: Annotated[
        Until, typer.Option(help="verdict: to the end; incident: only find the fault, within 20 s; watched: nobody repairs it.")
    ] = Until.VERDICT,
    calm: Annotated[float, typer.Option(help=f"Seconds of clean traffic before the fault, {WARM_UP_S:g} or more.")] = WARM_UP_S,
    kafka: Annotated[str | None, typer.Option(help="host:port of an empty broker of your own, in place of the embedded one.")] = None,
    keep: Annotated[Path | None, typer.Option(help="Work in this folder and keep its logs.")] = None,
    json_to: JsonTo = None,
) -> None:
    """Break a live system and watch it repaired: found, named, approved, done, verified, and read back from ClickHouse.

    Exit 0: what the scenario expects was met; 1: it was not; 2: wrong usage; 130: interrupted.

    Examples:  airra demo --yes  ·  airra demo --fault leak --seed 2 --yes --json  ·  airra demo --fault none --seconds 600
    """
    if not yes and not sys.stdin.isatty() and fault != "none" and until is not Until.WATCHED:
        raise ConfigError("there is no terminal to ask in: give --yes to approve as the demo's operator")
    if not 0 < seconds < math.inf:
        raise ConfigError(f"--seconds {seconds:g}: must be above 0")
    if not WARM_UP_S <= calm < math.inf:
        raise ConfigError(f"--calm {calm:g}: must be {WARM_UP_S:g} or more")
    if keep is not None:
        preflight.folder(keep, "--keep")
    chosen = _choose(scenario, fault)
    chosen = later(chosen, calm) if chosen is not None else None
    console = err if json_to == STDOUT else out
    signal.signal(signal.SIGTERM, _interrupt)
    with tempfile.TemporaryDirectory(prefix="airra-demo-", ignore_cleanup_errors=True) as scratch:
        directory = keep.resolve() if keep is not None else Path(scratch)
        thinking = 0.0 if yes else THINKING_S
        plan = Plan(scenario, chosen, seed, seconds, directory, kafka, ROOT / "config", thinking_s=thinking, until=until)
        moments = Moments()
        run = Run(plan, _speaker(console), _approver(console, until, yes=yes), lambda _, event: moments.take(event))
        result = _result(run)
    if until is Until.WATCHED:
        result["health"] = {"fault_at": run.story.fault.at if run.story.fault is not None else None, "moments": moments.rows()}
    wrong = _wrong(run.story, result, until)
    if json_to is not None:
        write_json(json_to, result)
    for line in wrong:
        say(f"NOT MET  {line}", err)
    if until is Until.WATCHED:
        say(f"watched for {WATCHED_S:g} s, and not judged: {result['seconds']}", console)
    elif not wrong and json_to != STDOUT:
        out.print("MET", style="bold green", end="")
        say(f"  what the scenario expects of {result['fault'] or 'no fault'}: {result['seconds']}")
    raise typer.Exit(1 if wrong else 0)


def _approver(console: Console, until: Until, *, yes: bool) -> Approver:
    if until is Until.WATCHED:
        return leave_it
    return approve_all if yes else asking(console) if sys.stdin.isatty() else leave_it


def _wrong(story: Story, result: dict[str, Any], until: Until) -> list[str]:
    if until is Until.VERDICT:
        return met(story, result)
    return found(story, FOUND_WITHIN_S) if until is Until.INCIDENT else []


def _result(run: Run) -> dict[str, Any]:
    """Run to the end; what ends it before is a line and an exit code."""
    try:
        return run.run()
    except (KeyboardInterrupt, typer.Abort):  # Abort, which a prompt makes of a Ctrl-C, is a RuntimeError too
        say("interrupted; everything was stopped", err)
        raise typer.Exit(INTERRUPTED) from None
    except RuntimeError as error:
        say(f"airra demo: {error}", err)
        raise typer.Exit(1) from error


def _choose(scenario: Path, fault: str | None) -> dict[str, Any] | None:
    listed = faults(scenario)
    if fault == "none":
        return None
    if not listed:
        raise ConfigError(f"{scenario}: lists no faults; run it with --fault none")
    if fault is None:
        return listed[0]
    found = next((item for item in listed if item["name"] == fault), None)
    if found is None:
        raise ConfigError(f"{scenario}: no fault named {fault}; it has: {', '.join(item['name'] for item in listed)}, none")
    return found


def _speaker(console: Console) -> Say:
    began = time.monotonic()
    return lambda line: say(f"{time.monotonic() - began:6.1f} s  {line}", console)


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt
