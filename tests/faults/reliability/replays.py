"""What each stage writes by a linear replay of its log, with the code that this is run with: `python -m … BOOTSTRAP FILE`.

It is run with the code of earlier releases too: what it imports has to be there.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from cli import logs
from cli.wiring import folds
from schemas.samples import TYPE_HEADER
from schemas.settings import Settings
from tests.faults.ledger import read_all


def main(bootstrap: str, file: str) -> None:
    """Write a line for each output: its stage, its topic, its type and its value, as text."""
    logs.configure("error", "replay")  # the folds would say all over again what the roles said
    with Path(file).open("w", encoding="utf-8") as out:
        for stage in folds(Settings(kafka_bootstrap=bootstrap)):
            records = list(read_all(bootstrap, stage.topic))
            states = {partition: stage.restore(None) for partition in {record.partition for record in records}}
            for record in records:
                for output in stage.apply(states[record.partition], record, record.timestamp):
                    kind = dict(output.headers)[TYPE_HEADER].decode()
                    out.write(json.dumps([stage.name, output.topic, kind, output.value.decode()]) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
