"""`airra bench`: how fast AIRRA is beside its peers and the limit, how late, how large and how soon back; on this machine, now."""

from __future__ import annotations

import importlib
import os
import platform
import sys
import time
from collections.abc import Iterator
from typing import Annotated, Any

import msgspec
import psutil
import typer

from cli.config import ConfigError
from cli.output import STDOUT, JsonTo, err, rows, say, write_json
from cli.processes import ROOT

bench = typer.Typer(no_args_is_help=True, help="Measure AIRRA beside its peers and the limit. From a clone, with Java 17 for Apache Kafka.")

Keep = Annotated[bool, typer.Option("--keep", help="Append the figures to docs/performance.jsonl and write docs/performance.md.")]
Series = Annotated[int, typer.Option(help="Series.", min=1)]


@bench.command()
def throughput(
    samples: Annotated[int, typer.Option(help="The backlog that is worked off, one sample a message.", min=10_000)] = 5_000_000,
    series: Series = 1000,
    peers: Annotated[bool, typer.Option(help="The peers, too: `make bench-setup` installs them.")] = True,
    keep: Keep = False,
    json_to: JsonTo = None,
) -> None:
    """Measure samples a second: the limit, Quix Streams, Bytewax, Faust a sample, normalise and detect alone, both at once, many series.

    Examples:  airra bench throughput  ·  airra bench throughput --samples 1000000 --no-peers --json
    """
    module = _module("throughput")
    plan = module.Plan(samples=samples, series=series, say=_say(json_to))
    if not peers:
        plan.peers = ()
    _measure(module, plan, json_to, keep=keep)


@bench.command()
def formats(
    samples: Annotated[int, typer.Option(help="The backlog that is worked off, many in a record.", min=100_000)] = 10_000_000,
    series: Series = 1000,
    keep: Keep = False,
    json_to: JsonTo = None,
) -> None:
    """Measure samples a second through normalise in remote_write 1.0 and in OTLP, which hold many in a record.

    Example:  airra bench formats --samples 2000000
    """
    module = _module("formats")
    _measure(module, module.Plan(samples=samples, series=series, say=_say(json_to)), json_to, keep=keep)


@bench.command()
def write(
    seconds: Annotated[float, typer.Option(help="So long.", min=1)] = 20.0,
    batch: Annotated[int, typer.Option(help="Samples in a request.", min=1)] = 2000,
    senders: Annotated[int, typer.Option(help="Connections that send at once.", min=1)] = 4,
    keep: Keep = False,
    json_to: JsonTo = None,
) -> None:
    """Measure samples a second that one process of the API takes by remote_write and Kafka acknowledges.

    Example:  airra bench write --batch 500
    """
    module = _module("write")
    _measure(module, module.Plan(seconds=seconds, batch=batch, senders=senders, say=_say(json_to)), json_to, keep=keep)


@bench.command()
def processes(
    samples: Annotated[int, typer.Option(help="The backlog that is worked off, one sample a message.", min=10_000)] = 8_000_000,
    series: Series = 1000,
    keep: Keep = False,
    json_to: JsonTo = None,
) -> None:
    """Measure samples a second of normalise and of detect with one process and with two.

    Example:  airra bench processes --samples 1000000
    """
    module = _module("processes")
    _measure(module, module.Plan(samples=samples, series=series, say=_say(json_to)), json_to, keep=keep)


@bench.command()
def latency(
    per_second: Annotated[int, typer.Option(help="Samples a second.", min=1000)] = 50_000,
    series: Series = 1000,
    seconds: Annotated[float, typer.Option(help="Of anomalies, one each half second.", min=5)] = 120.0,
    keep: Keep = False,
    json_to: JsonTo = None,
) -> None:
    """Measure the time from producing the sample that decides to the anomaly on its log, at a steady rate, with snapshots running.

    Example:  airra bench latency --per-second 50000
    """
    module = _module("latency")
    plan = module.Plan(per_second=per_second, series=series, seconds=seconds, say=_say(json_to))
    _measure(module, plan, json_to, keep=keep)


@bench.command()
def memory(series: Series = 100_000, keep: Keep = False, json_to: JsonTo = None) -> None:
    """Measure the resident memory a series, of normalise and detect.

    Example:  airra bench memory --series 100000
    """
    module = _module("memory")
    _measure(module, module.Plan(series=series, say=_say(json_to)), json_to, keep=keep)


@bench.command()
def recovery(
    series: Series = 100_000,
    kills: Annotated[int, typer.Option(help="How often detect is killed.", min=1)] = 5,
    keep: Keep = False,
    json_to: JsonTo = None,
) -> None:
    """Measure the time from the SIGKILL of detect until it has caught up.

    Example:  airra bench recovery --kills 3
    """
    module = _module("recovery")
    _measure(module, module.Plan(series=series, kills=kills, say=_say(json_to)), json_to, keep=keep)


@bench.command()
def score(
    points: Annotated[int, typer.Option(help="Points, of one series and of many.", min=10_000)] = 2_000_000,
    series: Series = 1000,
    keep: Keep = False,
    json_to: JsonTo = None,
) -> None:
    """Measure points a second that the score of single series takes (`airra detect`), in one thread.

    Example:  airra bench score
    """
    module = _module("score")
    _measure(module, module.Plan(points=points, series=series, say=_say(json_to)), json_to, keep=keep)


@bench.command()
def cost(keep: Keep = False, json_to: JsonTo = None) -> None:
    """Measure the CPU time a sample of both folds, by number of series (100 to 1,000,000) and by batch.

    Example:  airra bench cost --keep
    """
    module = _module("cost")
    _measure(module, module.Plan(say=_say(json_to)), json_to, keep=keep)


@bench.command()
def report(json_to: JsonTo = None) -> None:
    """Write docs/performance.md and its plots from docs/performance.jsonl.

    Example:  airra bench report
    """
    page = _module("report").write_page()
    if json_to is not None:
        write_json(json_to, {"written": str(page)})
    if json_to != STDOUT:
        say(f"written: {page}")


def _module(name: str) -> Any:
    """Return a benchmark. The folder is part of a clone and not of what is installed, so it is looked for beside this one."""
    if not (ROOT / "bench" / "__init__.py").exists():
        raise ConfigError("airra bench is part of a clone of the project, and this is none")
    if str(ROOT) not in sys.path:
        sys.path.insert(0, str(ROOT))
    return importlib.import_module(f"bench.{name}")


def _say(json_to: str | None) -> Any:
    return (lambda text: say(text, err)) if json_to == STDOUT else say


def _measure(module: Any, plan: Any, json_to: str | None, *, keep: bool) -> None:
    figures, number = _module("figures"), _module("report").number
    run, code = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), figures.commit()
    found = [msgspec.structs.replace(one, run=run, code=code, machine=machine()) for one in _told(module.run(plan), plan)]
    if keep:
        figures.keep(found)
        plan.say(f"written: {_module('report').write_page()}")
    values = {one.name: one.value for one in found}
    judged = [(goal, goal.reached(values)) for goal in module.GOALS]
    goals = [
        {"goal": goal.name, "wanted": goal.words(), "reached": value, "met": goal.met(value)} for goal, value in judged if value is not None
    ]
    if json_to is not None:
        write_json(json_to, {"figures": [msgspec.to_builtins(one) for one in found], "goals": goals})
    if json_to != STDOUT:
        shown = [{"name": one.name, "value": number(one.value), "unit": one.unit, "notes": one.notes} for one in found]
        rows(None, "figures", ["name", "value", "unit", "notes"], shown)
        held = [{**goal, "reached": number(goal["reached"]), "met": "yes" if goal["met"] else "NO"} for goal in goals]
        if held:
            rows(None, "goals", ["goal", "wanted", "reached", "met"], held)


def _told(found: Iterator[Any], plan: Any) -> Iterator[Any]:
    """Say each figure as soon as it is there: a run takes minutes."""
    for one in found:
        plan.say(f"  {one.name}: {one.value:,.1f} {one.unit} {one.notes}".rstrip())
        yield one


def machine() -> str:
    """Describe the machine: figures of two machines are not compared."""
    memory = psutil.virtual_memory().total / 2**30
    return f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, {memory:.0f} GiB, Python {platform.python_version()}"
