"""normalise's offsets lost: it reads its raw topics again from their beginning, and what it repeats counts nowhere twice.

The rows stand on airra.samples.v1 again; detect drops them by the mark of their source, so that its signals and its state are those of
a log on which each row stands once.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import httpx2

from cli.config import load
from cli.demo.command import ROOT
from cli.demo.stack import Stack
from cli.processes import role_command, role_env
from cli.top.readings import parse
from models.detection.fates import RowFate
from schemas.base import SCHEMA
from schemas.config.detect import DetectConfig
from schemas.samples import BATCH_HEADER, TYPE_HEADER, SampleBatch, decode_batch, decode_batches, encode_batches, headers
from schemas.settings import Settings
from schemas.topics import SAMPLES, SIGNALS
from streams import detect
from streams.harness.stage import Record
from tests.faults.detecting import folded
from tests.faults.ledger import difference, read_all
from tests.faults.load.account import saved_states
from tests.faults.load.traffic import Shape, Traffic
from tests.faults.network.plane import rows_said, said_again
from tests.faults.points.groups import plain_environment, until
from tests.faults.points.victim import Victim
from tests.faults.reliability.case import Case, Finding, Ground, single
from tests.faults.reliability.lost_logs import delete_group

LIVE = Shape(60)
BEFORE_S, AFTER_S = 40, 10  # past the history that a judgement needs
STOPPED_S = 30.0
SETTLED_S = 90.0


def reread(ground: Ground) -> Finding:
    """Delete the group of normalise while it is away, under the real detect; then compare with the log without its repeats."""
    folder = ground.new_folder("reread")
    settings = {"config_dir": ROOT / "config"}
    with ground.own_kafka() as broker, Stack(folder / "run", settings, broker.bootstrap, roles=("detect",)) as stack:
        stack.start_roles()
        normalise = _normalise(broker.bootstrap, folder)
        try:
            normalise.start()
            stack.wait_ready(["detect"])
            traffic = Traffic(broker.bootstrap, LIVE)
            _flow(traffic, BEFORE_S)
            until(lambda: _rows(broker.bootstrap) >= traffic.sent, SETTLED_S, "every row stands on its log")
            normalise.signal(signal.SIGTERM)
            until(lambda: not normalise.running, STOPPED_S, "normalise has stopped")
            delete_group(broker.bootstrap, "airra-normalise")
            normalise.start()
            _flow(traffic, AFTER_S)
            until(lambda: _rows(broker.bootstrap) >= 2 * traffic.sent - AFTER_S * LIVE.per_second, SETTLED_S, "all is read again")
            again, differing = said_again(rows_said(read_all(broker.bootstrap, SAMPLES.name)))
            until(lambda: dropped(_metrics(stack)) >= again, SETTLED_S, f"detect has dropped {again} rows")
            counted = dropped(_metrics(stack))
        finally:
            normalise.kill()
        assert stack.supervisor is not None
        stack.supervisor.stop()  # it saves what it has folded
        found = _compared(broker.bootstrap, traffic.sent)
        failed = [] if again == counted > 0 else [f"{again} rows stand again, and detect dropped {counted} by their mark"]
        notes = f"{traffic.sent} samples; {found.notes}"
        return replace(found, wrong=(found.wrong or 0) + differing, notes=notes, failed=tuple(failed), repeated=again)


def _metrics(stack: Stack) -> str:
    return httpx2.get(f"http://127.0.0.1:{stack.address('detect', 'observe_port')}/metrics", timeout=10.0, trust_env=False).text


def dropped(metrics: str) -> int:
    """Return how many rows detect has dropped because their place in their source was taken already."""
    return int(parse(metrics, 0.0).by("airra_detect_rows_total", "fate").get(RowFate.DUPLICATE, 0))


def _normalise(bootstrap: str, folder: Path) -> Victim:
    told = {"kafka_bootstrap": bootstrap, "config_dir": ROOT / "config", "data_dir": folder / "normalise", "observe_port": 0}
    return Victim(role_command("normalise"), role_env(told, plain_environment()), folder / "normalise.log")


def _flow(traffic: Traffic, seconds: int) -> None:
    for _ in range(seconds):
        begun = time.monotonic()
        traffic.second(int(time.time()))
        time.sleep(max(0.0, 1.0 - (time.monotonic() - begun)))
    traffic.flush()


def _rows(bootstrap: str) -> int:
    return sum(len(decode_batch(one.value).offset) for one in read_all(bootstrap, SAMPLES.name) if one.header(TYPE_HEADER) == b"samples")


def _compared(bootstrap: str, sent: int) -> Finding:
    stage = detect.stage(
        load(DetectConfig, ROOT / "config" / "detect.yaml").model_copy(update={"sigma": Settings().anomaly_threshold_sigma})
    )
    samples = read_all(bootstrap, SAMPLES.name)
    once = list(without_repeats(samples))
    states, wanted = folded(stage, once)
    lost, wrong, twice = difference(bootstrap, SIGNALS.name, wanted)
    rows = sum(len(decode_batch(one.value).offset) for one in once if one.header(TYPE_HEADER) == b"samples")
    return Finding(
        "normalise's",
        1,
        lost=lost + max(0, sent - rows),
        wrong=wrong + max(0, rows - sent),
        equal={number: snapshot.data for number, snapshot in saved_states(bootstrap, stage).items()} == states,
        notes=f"{len(wanted)} signals, {twice} of them twice",
    )


def without_repeats(samples: Iterable[Record]) -> Iterator[Record]:
    """Yield a log of samples without the rows whose place in their source came before."""
    seen: set[tuple[str, int, int]] = set()
    for record in samples:
        if record.header(TYPE_HEADER) != b"samples":
            yield record
            continue
        found, kept = decode_batches(record.value, record.header(BATCH_HEADER)), []
        for source, batch in found.parts():
            places = [(source.topic, source.partition, offset) for offset in batch.offset.tolist()]
            new = [place not in seen for place in places]
            seen.update(places)
            if any(new):
                kept.append((source, SampleBatch(batch.series[new], batch.time[new], batch.value[new], batch.offset[new])))
        if sum(len(batch.offset) for _, batch in kept) == len(found.rows.offset):
            yield record
        elif kept:
            value, header = encode_batches(kept)
            yield replace(record, value=value, headers=(*headers("samples"), (BATCH_HEADER, header), SCHEMA))


CASES = (
    Case(
        "offsets-normalise",
        "normalise's offsets are deleted: what it reads again is dropped, signals and state as if each row stood once",
        single("normalise's", reread),
        3,
    ),
)
