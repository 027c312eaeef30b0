"""Quix Streams: state in RocksDB with a changelog topic, checkpoints every second."""

from __future__ import annotations

from pathlib import Path

from quixstreams import Application, State

from bench.peers.zscore import FIRST, Progress, arguments, decode, step

CHECKPOINT_S = 1.0


def main() -> None:
    asked, progress = arguments(), Progress()
    app = Application(
        broker_address=asked.bootstrap,
        consumer_group="bench-quix",
        auto_offset_reset="earliest",
        commit_interval=CHECKPOINT_S,
        state_dir=Path(asked.folder),
        consumer_extra_config={"fetch.queue.backoff.ms": 5, "queued.min.messages": 400_000},
        loglevel="WARNING",
    )

    def fold(value: bytes, state: State) -> float:
        # the message's key is the series: Quix keeps state by key
        after, z = step(tuple(state.get("z", FIRST)), float(decode(value).value))
        state.set("z", after)
        progress.add(z)
        return z

    app.dataframe(app.topic(asked.topic, key_deserializer="bytes", value_deserializer="bytes")).apply(fold, stateful=True)
    app.run()


if __name__ == "__main__":
    main()
