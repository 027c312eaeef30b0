"""Bytewax: state in memory with a recovery store, a snapshot every second."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import bytewax.operators as op
from bytewax.connectors.kafka import KafkaSource
from bytewax.dataflow import Dataflow
from bytewax.outputs import DynamicSink, StatelessSinkPartition
from bytewax.recovery import RecoveryConfig, init_db_dir
from bytewax.run import cli_main

from bench.peers.zscore import FIRST, Progress, State, arguments, decode, series_of, step

SNAPSHOT_S = 1.0
BATCH = 10_000


class Nowhere(DynamicSink[float]):
    """Takes what comes."""

    def build(self, step_id: str, worker_index: int, worker_count: int) -> StatelessSinkPartition[float]:
        class Part(StatelessSinkPartition[float]):
            def write_batch(self, items: list[float]) -> None:
                del items

        return Part()


def main() -> None:
    asked, progress = arguments(), Progress()
    folder = Path(asked.folder)
    folder.mkdir(parents=True, exist_ok=True)
    init_db_dir(folder, 1)

    def keyed(message: Any) -> tuple[str, float]:
        sample = decode(message.value)
        return series_of(sample), float(sample.value)

    def fold(state: State | None, value: float) -> tuple[State, float]:
        after, z = step(state or FIRST, value)
        progress.add(z)
        return after, z

    flow = Dataflow("bench")
    settings = {"fetch.queue.backoff.ms": "5", "queued.min.messages": "400000"}
    read = op.input("read", flow, KafkaSource([asked.bootstrap], [asked.topic], add_config=settings, tail=True, batch_size=BATCH))
    scored = op.stateful_map("score", op.map("key", read, keyed), fold)
    op.output("out", op.key_rm("unkey", op.filter("alarms", scored, lambda one: abs(one[1]) > 3)), Nowhere())
    cli_main(flow, epoch_interval=timedelta(seconds=SNAPSHOT_S), recovery_config=RecoveryConfig(str(folder)))


if __name__ == "__main__":
    main()
