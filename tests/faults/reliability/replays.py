"""What each stage writes by a linear replay of its log, with the code that this is run with: `python replays.py LOGS OUTPUTS`.

It is run with the code of earlier releases too: what it imports has to be there.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from pathlib import Path

import msgspec

from cli import logs
from cli.wiring import folds
from schemas.samples import TYPE_HEADER
from schemas.settings import Settings
from streams.harness.stage import Record


def main(read: str, write: str) -> None:
    """Read records as tuples of their fields; write stage, topic, type and value of each output."""
    logs.configure("error", "replay")  # the folds would say all over again what the roles said
    by_topic: dict[str, list[Record]] = defaultdict(list)
    for *fields, headers in msgspec.msgpack.decode(Path(read).read_bytes()):
        record = Record(*fields, tuple((name, value) for name, value in headers))
        by_topic[record.topic].append(record)
    outputs = []
    for stage in folds(Settings()):
        records = by_topic[stage.topic]
        states = {partition: stage.restore(None) for partition in {record.partition for record in records}}
        for record in records:
            for output in stage.apply(states[record.partition], record, record.timestamp):
                outputs.append((stage.name, output.topic, dict(output.headers)[TYPE_HEADER].decode(), output.value))
    Path(write).write_bytes(msgspec.msgpack.encode(outputs))


if __name__ == "__main__":
    main(*sys.argv[1:])
