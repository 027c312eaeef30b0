"""docs/performance.md, from docs/performance.jsonl: what was measured beside what was wished, and the plots."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path

from bench import cost, formats, latency, memory, processes, recovery, score, sizing, throughput, write
from bench.bed import PEERS
from bench.figures import LEDGER, ROOT, Figure, Goal, kept, newest

PAGE = ROOT / "docs" / "performance.md"
GOALS: dict[str, Sequence[Goal]] = {
    "throughput": throughput.GOALS,
    "formats": formats.GOALS,
    "write": write.GOALS,
    "processes": processes.GOALS,
    "latency": latency.GOALS,
    "memory": memory.GOALS,
    "recovery": recovery.GOALS,
    "cost": cost.GOALS,
    "score": score.GOALS,
}
PLOTS = {"throughput": ("throughput",), "processes": ("processes",), "cost": ("cost-series", "cost-batch")}
HEAD = """# Performance: what was measured

Made by `airra bench … --keep` from docs/performance.jsonl; do not edit it by hand. The broker (Apache Kafka, one node), the load and
what is measured share one machine. Figures of two machines, or of two runs, are not compared: what stands beside another was measured
in the same run. A goal that is missed is written as missed.
"""
ABOUT = {
    "throughput": "A message is one sample as prometheus-kafka-adapter writes it, with four labels. The peers do a z-score with state per "
    "series on the same messages, with at-least-once durability: Quix Streams with RocksDB and a changelog topic, Bytewax with a recovery "
    "store, Faust with a changelogged table. normalise works from the raw messages, detect from the batches that normalise made, "
    f"at last also from those of {throughput.MANY:,} series.",
    "formats": "normalise alone, one process, over a backlog of records that hold a sample of each series.",
    "write": "One process of the API takes remote_write from senders that wait for each acknowledgement, as Prometheus' shards do.",
    "processes": "Each role alone over the backlog, with one process and with two; the broker runs on the same cores.",
    "latency": "From the stamp of the raw record whose arrival decided to the stamp of the anomaly on its log.",
    "memory": "Resident memory with many series less that with few, over the number of series, after as many samples; the least of "
    f"{memory.READ_FOR_S:.0f} s, which begin {memory.SETTLE_S:.0f} s after the last: all code is loaded then.",
    "recovery": "From SIGKILL of detect until the watermark of its slowest partition is where it stands otherwise.",
    "cost": "CPU time of the folds alone, in one process, without Kafka.",
    "score": "The score of `airra detect`, of one series and of a thousand, in one process; and what it keeps of a series.",
}
SIZING = f"""## How much is needed

From the newest figures above, on a machine like theirs: a sample of each series every {sizing.EVERY_S} s, and processes at half of what
they take at most, so that what waited while something was away is worked off. A role has no more processes than its topic has
partitions. A partition of detect takes `max_series` series ({sizing.A_PARTITION:,}, config/detect.yaml) and refuses more; so many
partitions are enough where one gets {sizing.UNEVEN} times its share. The memory is for the series alone; what a process takes with few of
them stands in the notes above."""


def write_page(ledger: Path = LEDGER, page: Path = PAGE) -> Path:
    """Write the page; return where."""
    figures = list(kept(ledger))
    page.write_text(text(figures), encoding="utf-8")
    if PEERS.exists():
        subprocess.run([str(PEERS), "-m", "bench.plot", str(ledger), str(page.parent / "performance")], check=True, cwd=ROOT)
    return page


def text(figures: Sequence[Figure]) -> str:
    parts = [HEAD]
    for bench, found in newest(figures).items():
        first = found[0]
        parts.append(f"## {bench.capitalize()}\n\n{ABOUT[bench]}\n\nMeasured {first.run} at {first.code}: {first.machine}.\n")
        parts.append(_table(("what", "value", "unit", "under", "notes"), (_row(one) for one in found)))
        parts += [f"![{bench}](performance/{name}.svg)\n" for name in PLOTS.get(bench, ())]
        values = {one.name: one.value for one in found}
        held = [(goal, value) for goal in GOALS[bench] if (value := goal.reached(values)) is not None]
        if not held:
            continue
        parts.append(
            _table(
                ("goal", "wanted", "reached", "met"),
                ((goal.name, goal.words(), number(value), "yes" if goal.met(value) else "**no**") for goal, value in held),
            )
        )
    if lines := list(sizing.rows(figures)):
        parts.append(SIZING + "\n")
        parts.append(_table(sizing.HEAD, lines))
    return "\n".join(parts)


def number(value: float) -> str:
    """Write three digits, or all before the point."""
    return f"{value:,.3g}" if abs(value) < 100 else f"{value:,.0f}"


def _row(one: Figure) -> tuple[str, ...]:
    under = ", ".join(f"{name.replace('_', ' ')} {number(value)}" for name, value in one.at.items())
    return one.name, number(one.value), one.unit, under, one.notes


def _table(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    rule = ["---"] * len(head)
    return "".join(f"| {' | '.join(line)} |\n" for line in (head, rule, *lines))
