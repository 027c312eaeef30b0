"""What demos came to, a line each: a campaign of hours may be stopped, goes on where it was, and its table stands in the docs."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from cli.config import ConfigError
from cli.demo.batch import NO_FAULT, Job, Result
from cli.demo.ending import FOUND_WITHIN_S

KEPT = ("fault", "seed", "met", "incidents", "expected", "root_cause", "action", "verdict", "waiting_s", "seconds", "said", "health")
COLUMNS = ("fault", "expected", "runs", "met", "found within 20 s", "p50, s", "worst, s", "incidents of nothing", "at")

Entry = dict[str, Any]
Key = tuple[str, str, int, str, float]


def key_of(job: Job) -> Key:
    """Return what tells runs apart, the clean traffic before the fault too: after more of it more is known."""
    return job.scenario.name, job.fault, job.seed, str(job.until), job.waiting_s


def entry(job: Job, result: Result, commit: str) -> Entry:
    """Return the line of a run: what is counted, and the commit it was found at."""
    kept = {name: result[name] for name in KEPT if name in result}
    on = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    return {"scenario": job.scenario.name, "until": str(job.until), "commit": commit, "on": on, "run": kept}


def append(path: Path, line: Entry) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line, default=str) + "\n")


def read(path: Path) -> dict[Key, Entry]:
    """Return the newest line of each run; ConfigError where one is none."""
    found: dict[Key, Entry] = {}
    for number, text in enumerate(path.read_text(encoding="utf-8").splitlines() if path.exists() else (), 1):
        try:
            line = json.loads(text)
            run = line["run"]
            found[line["scenario"], run["fault"], int(run["seed"]), line["until"], float(run.get("waiting_s", 0.0))] = line
        except (ValueError, KeyError, TypeError) as error:
            raise ConfigError(f"{path}, line {number}: no line of a campaign ({error!r}): take it out, or name another --ledger") from None
    return found


def report(entries: Iterable[Entry]) -> str:
    """Return docs/sandbox.md: a table for each scenario, and what was not met."""
    scenarios: dict[str, dict[str, list[Entry]]] = {}
    for line in entries:
        scenarios.setdefault(line["scenario"], {}).setdefault(line["run"]["fault"], []).append(line)
    return HEAD + "".join(_scenario(name, faults) for name, faults in sorted(scenarios.items()))


HEAD = """# On the sandbox

Made by `make demo-all DEMO_ARGS="--ledger docs/sandbox.jsonl --report"` from docs/sandbox.jsonl, a line for each run; do not edit it by
hand. With `--until incident --seeds 1 2 3 …` in place of `--report` it runs what is not there yet. Each run starts a live system and AIRRA
on a broker of its own, waits for clean traffic, and breaks what the scenario says. *found within 20 s*: of the runs that expect an
incident; p50 and worst are seconds from the fault to its incident. Where nothing is to be found (a deploy, a load peak), *incidents of
nothing* counts the runs in which something was.
"""


def _scenario(name: str, faults: dict[str, list[Entry]]) -> str:
    every = [line for lines in faults.values() for line in lines]
    rows = [_row(fault, faults[fault]) for fault in sorted(faults, key=lambda fault: (fault == NO_FAULT, fault))] + [_row("**all**", every)]
    head = "| " + " | ".join(COLUMNS) + " |\n|" + " --- |" * len(COLUMNS) + "\n"
    missed = [run for line in every if not (run := line["run"])["met"]]
    told = "".join(f"- {run['fault']}, seed {run['seed']}: {'; '.join(run.get('said') or ['no word'])}\n" for run in missed)
    return f"\n## {name}\n\n{head}{''.join(rows)}" + (f"\nNot met:\n\n{told}" if told else "")


def _row(fault: str, lines: Sequence[Entry]) -> str:
    runs = [line["run"] for line in lines]
    causes = {cause for run in runs if (cause := _expected(run))}
    hours = sum((run.get("seconds") or {}).get("total", 0.0) for run in runs) / 3600
    expects = f"nothing, for {hours:.1f} h" if fault == NO_FAULT else ", ".join(causes) if len(causes) == 1 else ""
    waits = [(run.get("seconds") or {}).get("fault_to_incident") for run in runs if _expected(run)]
    known = [wait for wait in waits if wait is not None]
    found = f"{sum(0 <= wait <= FOUND_WITHIN_S for wait in known)} of {len(waits)}" if waits else ""
    nothing = [run for run in runs if not _expected(run)]
    cells = [fault, expects, str(len(runs)), str(sum(run["met"] for run in runs)), found]
    cells += [f"{statistics.median(known):.1f}" if known else "", f"{max(known):.1f}" if known else ""]
    cells += [str(sum(bool(run.get("incidents")) for run in nothing)) if nothing else ""]
    cells += [", ".join(sorted({line["commit"] for line in lines}))]
    return "| " + " | ".join(cells) + " |\n"


def _expected(run: Result) -> str | None:
    cause: str | None = (run.get("expected") or {}).get("root_cause")
    return cause
