"""What the score of a service from all its kinds is worth on the sandbox: of runs that were watched, before and after their fault."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cli.backtest.health import SINGLE, TOGETHER, Found, found_above, windows
from cli.config import ConfigError
from cli.demo import ledger
from cli.demo.ending import Until

WINDOW = 3  # moments: half a minute, within which a fault is to be found
Run = dict[str, Any]


def measure(path: Path) -> tuple[list[Found], list[Found]]:
    """Set each method's threshold on what was before the faults, of all runs; return what it finds of them, and of ordinary events.

    Of a run counts the second half of what was before its fault, as the first teaches, and the first WINDOW moments after it.
    """
    entries = sorted(ledger.read(path).items())
    runs = [line["run"] for _, line in entries if line["until"] == Until.WATCHED and line["run"].get("health")]
    broken = [run for run in runs if _expects(run)]
    if not broken:
        raise ConfigError(f"{path}: no watched run of a fault: make demo-all DEMO_ARGS='--until watched --calm 300 --ledger {path}'")
    tables = {id(run): _table(run) for run in runs}
    found: tuple[list[Found], list[Found]] = [], []
    for column, method in enumerate((TOGETHER, SINGLE)):
        quiet = np.concatenate([windows(before[len(before) // 2 :, column], WINDOW) for before, _ in tables.values()])
        for told, some in zip(found, (broken, [run for run in runs if not _expects(run)]), strict=True):
            if some:
                told.append(found_above(method, quiet, [float(tables[id(run)][1][:, column].max()) for run in some]))
    return found


def _expects(run: Run) -> bool:
    return bool((run.get("expected") or {}).get("root_cause"))


def _table(run: Run) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return (moments, methods) before the fault, and after it."""
    health, name = run["health"], f"{run['fault']}, seed {run['seed']}"
    if health["fault_at"] is None:
        raise ConfigError(f"{name}: it has no fault")
    moments = np.array(health["moments"], np.float64).reshape(-1, 3)
    after = moments[moments[:, 0] > health["fault_at"], 1:][:WINDOW]
    before = moments[moments[:, 0] <= health["fault_at"], 1:]
    if len(after) < WINDOW or len(before) < 4 * WINDOW:
        raise ConfigError(f"{name}: {len(before)} moments before its fault and {len(after)} after it: too few; give it a longer --calm")
    return before, after
