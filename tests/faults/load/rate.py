"""Fold one log with one control stage in a process of its own, as the role does; print `{"seconds": …, "outputs": …}`.

Run as: python -m tests.faults.load.rate BOOTSTRAP STAGE TOPIC COUNT FOLDER
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from dataclasses import replace
from pathlib import Path

from cli import logs
from streams.harness import metrics
from streams.harness.kafka import KafkaSettings
from streams.harness.stage import Stage
from tests.faults.load.control_logs import stages
from tests.faults.serving import serving

WITHIN_S = 600.0


async def fold(kafka: KafkaSettings, folder: Path, stage: Stage[object], count: int) -> tuple[float, int]:
    """Return how long the stage takes from its first record to its last, and how many records it emits."""
    folded, sent = metrics.RECORDS.labels(stage.name), metrics.OUTPUTS.labels(stage.name)
    async with serving(kafka, folder, [stage]):
        begun = time.monotonic()
        while folded._value.get() < count:
            if time.monotonic() - begun > WITHIN_S:
                raise RuntimeError(f"{stage.name} folded {folded._value.get():.0f} of {count} records")
            await asyncio.sleep(0.01)
        return time.monotonic() - begun, int(sent._value.get())


def main() -> None:
    bootstrap, name, topic, count, folder = sys.argv[1:]
    logs.configure("info", "control")
    # Nothing else reads what it emits; ticks would only be added to its own log.
    stage = replace(stages()[name](), name=f"rate-{topic}", topic=topic, tick_every_s=None)
    took, outputs = asyncio.run(fold(KafkaSettings(bootstrap), Path(folder), stage, int(count)))
    print(json.dumps({"seconds": took, "outputs": outputs}))


if __name__ == "__main__":
    main()
