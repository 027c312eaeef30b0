"""`airra demo`: the whole loop on this machine, from a broken service to a verified outcome."""

from __future__ import annotations

import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from cli.config import ConfigError
from cli.demo.run import Plan, Run
from cli.demo.sandbox import faults
from cli.demo.story import met
from cli.output import STDOUT, JsonTo, err, out, write_json
from schemas.approvals import Proposal
from schemas.kinds import Mode

ROOT = Path(__file__).resolve().parents[2]
DEFAULT_SCENARIO = ROOT / "sandbox" / "scenarios" / "shop.yaml"


def demo(
    scenario: Annotated[Path, typer.Option(help="The system to break.")] = DEFAULT_SCENARIO,
    fault: Annotated[str | None, typer.Option(help="A fault of the file by name; default its first; none: no fault.")] = None,
    seed: Annotated[int, typer.Option(help="Of the load and every random draw in the sandbox.")] = 1,
    seconds: Annotated[float, typer.Option(help="With --fault none: how long.")] = 60.0,
    yes: Annotated[bool, typer.Option("--yes", help="Approve as the demo's operator; without it you are asked.")] = False,
    kafka: Annotated[str | None, typer.Option(help="host:port of an empty broker of your own, in place of the embedded one.")] = None,
    keep: Annotated[Path | None, typer.Option(help="Work in this folder and keep its logs.")] = None,
    json_to: JsonTo = None,
) -> None:
    """Break a live system and watch it repaired: found, named, approved, done, verified, and read back from ClickHouse.

    Exit 0: what the scenario expects was met; 1: it was not; 2: wrong usage.

    Examples:  airra demo --yes  ·  airra demo --fault leak --seed 2 --yes --json  ·  airra demo --fault none --seconds 600
    """
    if not yes and not sys.stdin.isatty() and fault != "none":
        raise ConfigError("there is no terminal to ask in: give --yes to approve as the demo's operator")
    chosen = _choose(scenario, fault)
    signal.signal(signal.SIGTERM, _interrupt)
    with tempfile.TemporaryDirectory(prefix="airra-demo-", ignore_cleanup_errors=True) as scratch:
        directory = keep or Path(scratch)
        run = Run(
            Plan(scenario, chosen, seed, seconds, directory, kafka, ROOT / "config"), _speaker(json_to), _approve_all if yes else _ask
        )
        try:
            result = run.run()
        except RuntimeError as error:
            err.print(f"airra demo: {error}", markup=False)
            raise typer.Exit(1) from error
        except KeyboardInterrupt:
            err.print("interrupted; everything was stopped")
            raise typer.Exit(130) from None
    wrong = met(run.story, result)
    if json_to is not None:
        write_json(json_to, result)
    for line in wrong:
        err.print(f"NOT MET  {line}", markup=False)
    if not wrong and json_to != STDOUT:
        out.print(f"[bold green]MET[/]  what the scenario expects of {result['fault'] or 'no fault'}: {result['seconds']}")
    raise typer.Exit(1 if wrong else 0)


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


def _speaker(json_to: str | None) -> Any:
    began = time.monotonic()
    console = err if json_to == STDOUT else out

    def say(line: str) -> None:
        console.print(f"{time.monotonic() - began:6.1f} s  {line}", markup=False)

    return say


def _approve_all(run: Run, proposal: Proposal) -> Mode | None:
    del run, proposal
    return Mode.LIVE


def _ask(run: Run, proposal: Proposal) -> Mode | None:
    assert run.stack is not None  # noqa: S101 - asked within a run
    chosen = proposal.chosen
    assert chosen is not None  # noqa: S101 - only proposals with an action are pending
    out.print(f"\n  {proposal.title}", markup=False)
    for hypothesis in proposal.hypotheses[:3]:
        why = "; ".join(hypothesis.reasons[:2])
        out.print(f"  {hypothesis.rank}. {hypothesis.service}: {hypothesis.cause} ({hypothesis.confidence:.2f}) – {why}", markup=False)
    out.print(
        f"  risk {chosen.risk:.2f}, blast radius {chosen.blast_level}, {'reversible' if chosen.reversible else 'not reversible'}",
        markup=False,
    )
    out.print(f"  page: http://127.0.0.1:{run.stack.address('api', 'api_port')}/ (token: {run.stack.operator_token})", markup=False)
    answer = typer.prompt(f"  {chosen.spec.action} {chosen.spec.service}? [y]es, live / [d]ry run / [p]age decides", default="p")
    return {"y": Mode.LIVE, "d": Mode.DRY_RUN}.get(answer[:1].lower())


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt
