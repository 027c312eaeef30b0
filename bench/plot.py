"""The plots of docs/performance.md, drawn by Matplotlib: run by the interpreter of `make bench-setup`, which has it."""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("svg")
mpl.rcParams["svg.hashsalt"] = "airra"  # the same figures give the same file
import matplotlib.pyplot as plt

USUAL = {"series": 1_000.0, "batch": 10_000.0}
WIDE = 10  # times the least: figures further apart are drawn on a logarithmic scale
WORDS = {"series": "series", "batch": "records taken at a time"}


def main(ledger: str, folder: str) -> None:
    """Draw each bench's newest run."""
    runs: dict[str, list[dict[str, Any]]] = {}
    for line in Path(ledger).read_text().splitlines():
        one = json.loads(line)
        found = runs.setdefault(one["bench"], [])
        if found and found[-1]["run"] != one["run"]:
            found.clear()
        found.append(one)
    Path(folder).mkdir(exist_ok=True)
    for bench, draw in (("throughput", rates), ("processes", rates), ("cost", cost)):
        if bench in runs:
            draw(runs[bench], Path(folder))


def rates(found: list[dict[str, Any]], folder: Path) -> None:
    """Draw bars of samples a second."""
    found = [one for one in found if one["unit"] == "samples/s"]
    figure, axes = plt.subplots(figsize=(7, 0.5 * len(found) + 1))
    axes.barh([one["name"] for one in found], [one["value"] for one in found], color="#3b6ea5")
    axes.invert_yaxis()
    if max(one["value"] for one in found) > WIDE * min(one["value"] for one in found):
        axes.set_xscale("log")
        axes.set_xlabel("samples a second (logarithmic)")
    else:
        axes.set_xlabel("samples a second")
    _save(figure, folder / f"{found[0]['bench']}.svg")


def cost(found: list[dict[str, Any]], folder: Path) -> None:
    """Draw the cost of a sample against series, and against batch."""
    for by, other in (("series", "batch"), ("batch", "series")):
        lines: dict[str, list[tuple[float, float]]] = defaultdict(list)
        for one in found:
            if one["at"][other] == USUAL[other]:
                lines[one["name"].partition(",")[0]].append((one["at"][by], one["value"]))
        figure, axes = plt.subplots(figsize=(7, 4))
        for name, points in lines.items():
            axes.plot(*zip(*sorted(points), strict=True), marker="o", label=name)
        axes.set(xscale="log", yscale="log", xlabel=WORDS[by], ylabel="ns of CPU a sample")
        axes.legend()
        axes.grid(visible=True, which="both", alpha=0.3)
        _save(figure, folder / f"cost-{by}.svg")


def _save(figure: Any, file: Path) -> None:
    figure.tight_layout()
    figure.savefig(file, metadata={"Date": None})
    plt.close(figure)


if __name__ == "__main__":
    main(*sys.argv[1:])
