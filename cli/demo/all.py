"""`make demo-all`: every fault of a scenario with several seeds, and a table of what came of each."""

from __future__ import annotations

import argparse
import json
import math
import signal
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.figures import commit
from cli import preflight
from cli.config import ConfigError
from cli.demo import ledger
from cli.demo.batch import Batch, Job, Result, jobs, quiet
from cli.demo.command import DEFAULT_SCENARIO, INTERRUPTED
from cli.demo.ending import FOUND_WITHIN_S, WARM_UP_S, Until
from cli.demo.sandbox import faults
from cli.output import err, say, table

P50_S, WORST_S, DEMO_S = 10.0, FOUND_WITHIN_S, 180.0  # what the loop promises
FOUND_AT_LEAST = 0.97  # of the faults, within WORST_S: what detection promises


def summary(results: Sequence[Result]) -> dict[str, Any]:
    """Return how many met the expectation, and how long an incident took to open, over the runs that expect one."""
    waits = [(r.get("seconds") or {}).get("fault_to_incident") for r in results if (r.get("expected") or {}).get("root_cause")]
    known = [wait for wait in waits if wait is not None]
    # What the scenario itself waits before the fault, above the warm-up, is no part of the promise.
    totals = [round(r["seconds"]["total"] - r.get("waiting_s", 0.0), 1) for r in results if r.get("seconds")]
    return {
        "runs": len(results),
        "met": sum(r["met"] for r in results),
        "fault_to_incident_p50_s": round(statistics.median(known), 1) if known else None,
        "fault_to_incident_worst_s": max(known, default=None),
        "without_incident": len(waits) - len(known),
        "found_within_20_s": round(sum(0 <= wait <= WORST_S for wait in known) / len(waits), 4) if waits else None,
        "incidents_of_nothing": sum(bool(r.get("incidents")) for r in results if not (r.get("expected") or {}).get("root_cause")),
        "longest_run_s": max(totals, default=None),
    }


def demands(told: dict[str, Any], until: Until = Until.VERDICT) -> dict[str, bool]:
    """Return what must hold of the runs together, and whether it does."""
    if until is Until.WATCHED:
        return {"every run is watched to its end": told["met"] == told["runs"]}
    if until is Until.INCIDENT:
        share = told["found_within_20_s"]
        return {
            f"of the faults at least {FOUND_AT_LEAST} are found within 20 s": share is None or share >= FOUND_AT_LEAST,
            "where silence is expected there is silence": told["incidents_of_nothing"] == 0,
        }
    p50, worst, longest = told["fault_to_incident_p50_s"], told["fault_to_incident_worst_s"], told["longest_run_s"]
    return {
        "every run is met": told["met"] == told["runs"],
        "every fault that expects an incident has one": told["without_incident"] == 0,
        "fault to incident, p50 at most 10 s": p50 is None or p50 <= P50_S,
        "fault to incident, worst at most 20 s": worst is None or worst <= WORST_S,
        "every demo within 3 minutes": longest is None or longest <= DEMO_S,
    }


def progress(done: int, of: int, elapsed_s: float) -> str:
    """Say how far a batch is, and when it should end at the pace so far."""
    left = elapsed_s / done * (of - done)
    return f"{done} of {of}, {elapsed_s / 60:.1f} min elapsed, {left / 60:.1f} min to go"


def run_all(wanted: Sequence[Job], at_a_time: int, keep: Path | None, kept: Path | None = None) -> list[Result]:
    """Run the jobs, telling each end and adding it to the ledger `kept`; return the results in the jobs' order."""
    began = time.monotonic()
    results: dict[Job, Result] = {}
    with Batch(wanted, at_a_time, keep) as batch:
        for job, result in batch.results():
            results[job] = result
            if kept is not None:
                ledger.append(kept, ledger.entry(job, result, commit()))
            logs = f"  logs: {result['logs']}" if "logs" in result else ""
            line = f"{'met    ' if result['met'] else 'NOT MET'} {result['fault']} seed {result['seed']} {'; '.join(result['said'])}{logs}"
            say(f"{line}  [{progress(len(results), len(wanted), time.monotonic() - began)}]")
    return [results[job] for job in wanted]


def show_table(title: str, results: Sequence[Result]) -> None:
    columns = ["fault", "seed", "met", "incidents", "root_cause", "action", "verdict", "to incident", "to proposal", "to recovery", "total"]
    rows = []
    for r in results:
        seconds = r.get("seconds") or {}
        times = [seconds.get(name) for name in ("fault_to_incident", "incident_to_proposal", "approved_to_recovered", "total")]
        rows.append([*(r.get(name) for name in columns[:7]), *times])
    table(title, columns, rows)


def main() -> int:
    arguments = _arguments()
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        for name in ("keep", "out"):
            if (path := getattr(arguments, name)) is not None:
                preflight.folder(path if name == "keep" else path.resolve().parent, f"--{name}")
        if arguments.report:
            return _report(arguments.ledger)
        wanted, known = _jobs(arguments), ledger.read(arguments.ledger) if arguments.ledger and not arguments.again else {}
        missing = [job for job in wanted if ledger.key_of(job) not in known]
        if known:
            say(f"{len(wanted) - len(missing)} of {len(wanted)} runs stand in {arguments.ledger}; --again runs them, too")
        ran = dict(zip(missing, run_all(missing, arguments.jobs, arguments.keep, arguments.ledger), strict=True))
        results = [ran.get(job) or known[ledger.key_of(job)]["run"] for job in wanted]
    except ConfigError as error:
        say(f"airra: {error}", err)
        return 2
    except KeyboardInterrupt:
        say("interrupted; every run was stopped", err)
        return INTERRUPTED
    show_table(f"{arguments.scenario.name}: seconds from fault to incident, incident to proposal, approval to recovery", results)
    told = summary(results)
    say(json.dumps(told))
    if arguments.out:
        arguments.out.write_text(json.dumps({"summary": told, "runs": results}, indent=2, default=str))
    missed = [name for name, good in demands(told, arguments.until).items() if not good]
    for name in missed:
        say(f"NOT MET  {name}")
    return int(bool(missed))


def _report(kept: Path | None) -> int:
    if kept is None:
        raise ConfigError("--report needs --ledger: the file to read")
    kept.with_suffix(".md").write_text(ledger.report(ledger.read(kept).values()), encoding="utf-8")
    say(f"written: {kept.with_suffix('.md')}")
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, epilog="Exit codes: 0 all right, 1 not, 2 wrong usage, 130 interrupted.")
    parser.add_argument("--scenario", type=Path, default=DEFAULT_SCENARIO)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--faults", nargs="+", help="default: all of the file")
    parser.add_argument(
        "--until",
        type=Until,
        choices=list(Until),
        default=Until.VERDICT,
        help="incident: only find each fault; watched: only look at it, for `airra backtest sandbox`",
    )
    parser.add_argument("--calm", type=float, default=WARM_UP_S, metavar="SECONDS", help="clean traffic before each fault; 60 or more")
    parser.add_argument("--jobs", type=int, default=1, help="runs at the same time; each needs about a core")
    parser.add_argument("--quiet", type=float, metavar="SECONDS", help="no fault at all, so long, in place of the faults")
    parser.add_argument("--ledger", type=Path, metavar="FILE", help="add a line for each run, and leave out what stands there already")
    parser.add_argument("--again", action="store_true", help="with --ledger: also what stands there")
    parser.add_argument("--report", action="store_true", help="run nothing; write FILE.md beside the ledger")
    parser.add_argument("--out", type=Path, help="write every document here as JSON")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep the logs of runs that were NOT MET in DIR/<fault>-<seed>")
    return parser.parse_args()


def _jobs(arguments: argparse.Namespace) -> list[Job]:
    listed = {fault["name"]: fault for fault in faults(arguments.scenario)}
    names = arguments.faults or list(listed)
    if unknown := [name for name in names if name not in listed]:
        raise ConfigError(f"{arguments.scenario}: no fault named {', '.join(unknown)}; it has: {', '.join(listed)}")
    if arguments.jobs < 1:
        raise ConfigError("--jobs: at least 1")
    if arguments.quiet is not None:
        return [quiet(arguments.scenario, seed, arguments.quiet) for seed in arguments.seeds]
    if not WARM_UP_S <= arguments.calm < math.inf:
        raise ConfigError(f"--calm {arguments.calm:g}: must be {WARM_UP_S:g} or more")
    return jobs(arguments.scenario, [listed[name] for name in names], arguments.seeds, arguments.until, arguments.calm)


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
