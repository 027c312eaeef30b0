"""Poison of every kind among good records: each in one dead letter with its reason, the good ones as fast as ever, and the way back."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

from cli.demo.stack import Stack
from schemas.topics import ALERTS, DLQ, RAW_ALERTS, RAW_CHANGES, RAW_METRICS, SAMPLES, SIGNALS
from tests.faults.ledger import length
from tests.faults.poison.flood import flood
from tests.faults.poison.half_way import kill_half_way
from tests.faults.poison.inner import between
from tests.faults.poison.kinds import MENDED
from tests.faults.poison.tally import Outcome, Truth, Verdict, brought_in, judged, outcome, truth
from tests.faults.reliability.case import Case, Chapter, Finding, Ground
from tests.faults.reliability.ledger import REPO
from tests.faults.store.group import progress

QUIET_S = 2.5  # without a new record from normalise: it has read everything
WITHIN_S = 900.0
MARKERS = 16  # offsets at the ends of partitions that are no records, at most
SLOWER_AT_MOST = 0.20
REPLAYED = "replay after a fix, killed half-way"
LETTERS_OF_SAMPLE = 1  # in one transaction of the replay that is killed: the sample's are few
RULE = {"match": "requests_total", "kind": "requests", "type": "counter"}


@dataclass(frozen=True)
class Size:
    metrics: tuple[int, int]  # good, poison
    others: tuple[int, int]  # of alerts, and of changes

    @property
    def poison(self) -> int:
        return self.metrics[1] + 2 * self.others[1]

    @property
    def clean(self) -> Size:
        """As many records, all of them good."""
        return Size((sum(self.metrics), 0), (sum(self.others), 0))


FULL = Size((9_906_000, 94_000), (3_000, 3_000))
SAMPLE = Size((30_000, 1_500), (200, 200))


def configuration(folder: Path, service_labels: list[str]) -> Path:
    """Write a mapping that names the service by these labels."""
    folder.mkdir(parents=True)
    (folder / "metrics.yaml").write_text(yaml.safe_dump({"service_labels": service_labels, "metrics": [RULE]}))
    return folder


@contextlib.contextmanager
def normalising(bootstrap: str, folder: Path, service_labels: list[str]) -> Iterator[Stack]:
    """Run the role as `airra up` does."""
    config = configuration(folder / "config", service_labels)
    with Stack(folder / "run", {"config_dir": config}, bootstrap, roles=("normalise",)) as stack:
        stack.start_roles()
        yield stack


def until_quiet(bootstrap: str) -> None:
    """Wait until normalise has committed what there is, but for the markers of a replay's transactions, and writes nothing more."""
    deadline, seen, since = time.monotonic() + WITHIN_S, -1, time.monotonic()
    with (
        progress(bootstrap, "airra-normalise", [RAW_METRICS]) as samples,
        progress(bootstrap, "airra-normalise-events", [RAW_ALERTS, RAW_CHANGES]) as events,
    ):
        while time.monotonic() < deadline:
            total = sum(length(bootstrap, spec.name) for spec in (DLQ, SAMPLES, ALERTS, SIGNALS))
            if total != seen or samples.behind() > MARKERS or events.behind() > MARKERS:
                seen, since = total, time.monotonic()
            elif time.monotonic() - since > QUIET_S:
                return
            time.sleep(0.5)
    raise RuntimeError(f"normalise has not finished within {WITHIN_S} s: {seen} records")


def flooded(ground: Ground, bootstrap: str, size: Size) -> None:
    for topic, (good, poison) in (("metrics", size.metrics), ("alerts", size.others), ("changes", size.others)):
        ground.say(f"    {topic}: {good} good and {poison} poison records")
        flood(bootstrap, topic, good, poison)


def taken(ground: Ground, bootstrap: str, size: Size) -> Outcome:
    """Let normalise read a backlog to its end; return what came of it."""
    folder = ground.new_folder("poison")
    with Stack(folder / "topics", {}, bootstrap, roles=()):
        flooded(ground, bootstrap, size)
    with normalising(bootstrap, folder, ["service"]):
        until_quiet(bootstrap)
    return outcome(bootstrap)


def rate(came: Outcome, size: Size) -> float:
    """Return records a second between the first and the last that normalise wrote, by the stamps on them."""
    return sum((*size.metrics, *size.others, *size.others)) * 1000 / max(1, came.last_ms - came.first_ms)


def every_kind(ground: Ground, done: frozenset[str]) -> Iterator[Finding]:
    size = SAMPLE if ground.sample else FULL
    flood_item = f"{size.poison} among {sum(size.metrics) + sum(size.others) * 2}"
    if {flood_item, REPLAYED} <= done:
        return
    with ground.own_kafka() as broker:
        came = taken(ground, broker.bootstrap, size)
        raw = truth(broker.bootstrap)
        notes = f"{len(raw.poison)} poison of {len({(at[0], kind) for at, kind in raw.poison.items()})} kinds; "
        notes += f"{rate(came, size):.0f} records/s"
        yield found(flood_item, size.poison, judged(raw, came), notes)
        yield replayed(ground, broker.bootstrap, raw)


def found(item: str, injected: int, verdict: Verdict, notes: str = "", failed: tuple[str, ...] = ()) -> Finding:
    return Finding(item, injected, verdict.lost, verdict.doubled, verdict.wrong, notes=notes, failed=(*verdict.failed, *failed))


def replayed(ground: Ground, bootstrap: str, before: Truth) -> Finding:
    """Mend the mapping, replay, kill the replay half-way, replay twice more; each mended record comes in once."""
    folder = ground.new_folder("replay")
    meant = sum((place[0], kind) in MENDED for place, kind in before.poison.items())
    with normalising(bootstrap, folder, ["service", "app"]):
        killed = kill_half_way(bootstrap, *_command(folder, bootstrap, LETTERS_OF_SAMPLE if ground.sample else None))
        said = [airra_replay(bootstrap, folder) for _ in range(1 if ground.sample else 2)]
        until_quiet(bootstrap)
    raw, came = truth(bootstrap), outcome(bootstrap)
    last = said[-1].get("replayed", -1), said[-1].get("already", -1)
    wrong = [f"replay said {said}"] if sum(last) != meant or (len(said) > 1 and last[0]) else []
    notes = f"{meant} letters; the first replay was killed when {killed.brought} were in"
    verdict = brought_in(raw, came, MENDED)
    return found(REPLAYED, meant, verdict, notes, (*killed.missed(meant), *wrong, *judged(raw, came).failed))


def _command(folder: Path, bootstrap: str, letters: int | None = None) -> tuple[list[str], dict[str, str]]:
    """Return the command and its environment; `letters` in one of its transactions, None: as many as it takes itself."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("AIRRA_")}
    module = ["cli.main"] if letters is None else ["tests.faults.poison.half_way", str(letters)]
    command = [sys.executable, "-m", *module, "dlq", "replay", "--reason", "no_service", "--topic", "metrics", "--topic", "alerts"]
    return [*command, "--json"], {**env, "AIRRA_KAFKA_BOOTSTRAP": bootstrap, "AIRRA_DATA_DIR": str(folder)}


def airra_replay(bootstrap: str, folder: Path) -> dict[str, int]:
    command, env = _command(folder, bootstrap)
    done = subprocess.run(command, cwd=REPO, env=env, capture_output=True, text=True, timeout=300, check=False)
    if done.returncode:
        return {"exit": done.returncode}
    told: dict[str, int] = json.loads(done.stdout)
    return told


def throughput(ground: Ground, done: frozenset[str]) -> Iterator[Finding]:
    """Clean and poisoned in turn, each on a broker of its own, so that neither has the warmer machine."""
    for number in range(2):
        if (item := f"pair {number + 1}") in done:
            continue
        rates = {}
        for name, size in (("clean", FULL.clean), ("poisoned", FULL))[:: 1 if number % 2 else -1]:
            with ground.own_kafka() as broker:
                rates[name] = rate(taken(ground, broker.bootstrap, size), size)
        yield compared(item, FULL, rates["clean"], rates["poisoned"])


def compared(item: str, size: Size, clean: float, poisoned: float) -> Finding:
    """Say how much slower `poisoned` records/s are than `clean`, what a dead letter costs, and how many of them the goal has room for."""
    loss, records = 1 - poisoned / clean, sum((*size.metrics, *size.others, *size.others))
    letter_s = (1 / poisoned - 1 / clean) * records / size.poison
    notes = f"{clean:,.0f} records/s clean, {poisoned:,.0f} with {size.poison:,} poison among {records:,}: {loss:.0%} slower"
    if letter_s > 0:
        # n records with one dead letter take n / clean + letter_s, and may take n / clean / (1 - SLOWER_AT_MOST)
        room = letter_s * clean * (1 - SLOWER_AT_MOST) / SLOWER_AT_MOST
        notes += f"; a dead letter costs {letter_s * 1e6:.0f} µs: one record of {room:.0f} may be one"
    return Finding(
        item, size.poison, notes=notes, failed=() if loss <= SLOWER_AT_MOST else (f"{loss:.0%} slower, at most {SLOWER_AT_MOST:.0%}",)
    )


CHAPTER = Chapter(
    "poison",
    "Poison among good records",
    (
        Case(
            "every-kind",
            "100,000 poison records of every kind, in every format, among 10 million: each in one dead letter with its reason, every good one passed on once; "
            "after a fix `airra dlq replay`, killed half-way and repeated, brings each in once",
            every_kind,
            minutes=6,
            in_sample=True,
        ),
        Case(
            "between-stages",
            "garbage, torn, forged and newer records on every topic between the stages: each reader gives up each once, and goes on",
            between,
            minutes=2,
        ),
        Case("throughput", "the same, against as many good records: at most 20 % slower", throughput, minutes=10),
    ),
)
