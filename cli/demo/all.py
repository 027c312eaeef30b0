"""`make demo-all`: every fault of a scenario with several seeds, and a table of what came of each."""

from __future__ import annotations

import argparse
import concurrent.futures
import json
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

from cli.demo.command import DEFAULT_SCENARIO
from cli.demo.sandbox import faults
from cli.output import out, table

P50_S, WORST_S, DEMO_S = 10.0, 20.0, 180.0  # what the loop promises
LIMIT_S = 420.0  # a run that has not ended by then is a failed run


def one(scenario: Path, fault: str, seed: int) -> dict[str, Any]:
    """Run one demo in a process of its own; return its document with `met`."""
    command = [
        sys.executable,
        "-m",
        "cli.main",
        "demo",
        "--scenario",
        str(scenario),
        "--fault",
        fault,
        "--seed",
        str(seed),
        "--yes",
        "--json",
    ]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, check=False, timeout=LIMIT_S)  # noqa: S603 - our own command
    except subprocess.TimeoutExpired:
        return {"fault": fault, "seed": seed, "met": False, "said": [f"no end within {LIMIT_S:.0f} s"]}
    said = [line for line in answer.stderr.splitlines() if line.startswith(("NOT MET", "airra"))]
    try:
        document: dict[str, Any] = json.loads(answer.stdout)
    except ValueError:
        document = {}
    return {**document, "fault": fault, "seed": seed, "met": answer.returncode == 0, "said": said}


def summary(results: list[dict[str, Any]]) -> dict[str, Any]:
    """Return how many met the expectation, and how long an incident took to open, over the runs that expect one."""
    waits = [r["seconds"]["fault_to_incident"] for r in results if (r.get("expected") or {}).get("root_cause") and r.get("seconds")]
    known = [wait for wait in waits if wait is not None]
    return {
        "runs": len(results),
        "met": sum(r["met"] for r in results),
        "fault_to_incident_p50_s": round(statistics.median(known), 1) if known else None,
        "fault_to_incident_worst_s": max(known, default=None),
        "without_incident": len(waits) - len(known),
        "longest_run_s": max((r["seconds"]["total"] for r in results if r.get("seconds")), default=None),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenario", type=Path, default=DEFAULT_SCENARIO)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--faults", nargs="+", help="default: all of the file")
    parser.add_argument("--jobs", type=int, default=1, help="runs at the same time; each needs about a core")
    parser.add_argument("--out", type=Path, help="write every document here as JSON")
    arguments = parser.parse_args()
    names = arguments.faults or [fault["name"] for fault in faults(arguments.scenario)]
    results: list[dict[str, Any]] = []
    with concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool:
        for result in pool.map(lambda job: one(arguments.scenario, *job), [(name, seed) for seed in arguments.seeds for name in names]):
            results.append(result)
            out.print(
                f"{'met    ' if result['met'] else 'NOT MET'} {result['fault']} seed {result['seed']} {'; '.join(result['said'])}",
                markup=False,
            )
    columns = ["fault", "seed", "met", "incidents", "root_cause", "action", "verdict", "to incident", "to proposal", "to recovery", "total"]
    rows = []
    for r in results:
        seconds = r.get("seconds") or {}
        times = [seconds.get(name) for name in ("fault_to_incident", "incident_to_proposal", "approved_to_recovered", "total")]
        rows.append([*(r.get(name) for name in columns[:7]), *times])
    table(f"{arguments.scenario.name}: seconds from fault to incident, incident to proposal, approval to recovery", columns, rows)
    told = summary(results)
    out.print(json.dumps(told))
    if arguments.out:
        arguments.out.write_text(json.dumps({"summary": told, "runs": results}, indent=2, default=str))
    missed = [name for name, good in demands(told).items() if not good]
    for name in missed:
        out.print(f"NOT MET  {name}", markup=False)
    return int(bool(missed))


def demands(told: dict[str, Any]) -> dict[str, bool]:
    """Return what must hold of the runs together, and whether it does."""
    p50, worst, longest = told["fault_to_incident_p50_s"], told["fault_to_incident_worst_s"], told["longest_run_s"]
    return {
        "every run is met": told["met"] == told["runs"],
        "every fault that expects an incident has one": told["without_incident"] == 0,
        "fault to incident, p50 at most 10 s": p50 is None or p50 <= P50_S,
        "fault to incident, worst at most 20 s": worst is None or worst <= WORST_S,
        "every demo within 3 minutes": longest is None or longest <= DEMO_S,
    }


if __name__ == "__main__":
    sys.exit(main())
