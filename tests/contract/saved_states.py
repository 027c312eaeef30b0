"""States of every stage, saved by the release that first had their format, and kept: every later release reads what it says it reads.

`python -m tests.contract.saved_states` saves what is missing. A file is never changed: it stands for what lies on customers' brokers.
"""

from __future__ import annotations

import json
import zlib
from pathlib import Path
from typing import Any

import msgspec

from agents import reason
from cli.config import load
from models.detection.state import unpack
from schemas.config.correlate import CorrelateConfig
from schemas.config.runbooks import RunbookCatalogue
from schemas.kinds import ChangeType, Kind, Mode
from schemas.signals import Phase
from streams import correlate, dedup, detect
from streams.harness.stage import Stage
from tests.acting_world import APPROVALS, INCIDENTS, Running, World, arming, command, proposal
from tests.acting_world import incident as invented
from tests.unit import detect_feed, incident_world
from tests.unit.test_dedup import Log as Alerts
from tests.unit.test_dedup import notification

FOLDER = Path(__file__).parent / "saved"
CONFIG = Path(__file__).parents[2] / "config"
STARTED_SERVICE = "orders"


def _world() -> World:
    """Return a control plane in the middle of its work: an action under observation, one decided dry, one that waits for a person."""
    world = World()
    stage = reason.stage(load(RunbookCatalogue, CONFIG / "runbooks.yaml"))
    world.stages["reason"] = Running(stage, stage.restore(None))
    world.tick(2)
    world.start_execute()
    world.approved()
    world.settle()
    world.logs.write(APPROVALS, arming(name="2"))
    tried = proposal("inc-2")
    world.logs.write(APPROVALS, tried)
    world.logs.write(APPROVALS, command(tried, mode=Mode.DRY_RUN))
    world.settle()
    world.logs.write(APPROVALS, proposal("inc-3"))
    world.logs.write(INCIDENTS, invented(1, [], name="inc-4"))
    world.tick(2)
    return world


def _correlate() -> tuple[Stage[Any], Any]:
    run, t0 = incident_world.Run(correlate.stage(CorrelateConfig())), incident_world.T0
    run.send(incident_world.topology(incident_world.SERVICES, incident_world.CALLS), t0)
    run.send(incident_world.change(ChangeType.DEPLOY, "catalog", "v1", "v2", at=t0), t0)
    run.send(incident_world.health("catalog", Kind.LATENCY, t0, anomalous=1), t0)
    run.send(incident_world.anomaly("catalog", Kind.LATENCY, Phase.OPENED, t0, opened_at=t0, z=9), t0)
    run.send(incident_world.anomaly("orders", Kind.ERRORS, Phase.OPENED, t0, opened_at=t0, z=9), t0)
    run.ticks(t0, 25)
    run.send(incident_world.anomaly("orders", Kind.ERRORS, Phase.CLOSED, t0 + 26_000, opened_at=t0, z=9), t0 + 26_000)
    run.send(incident_world.anomaly("gateway", Kind.ERRORS, Phase.OPENED, t0 + 26_000, opened_at=t0 + 26_000, z=9), t0 + 26_000)
    return run.stage, run.state


def _dedup() -> tuple[Stage[Any], Any]:
    log = Alerts()
    for number in range(6):
        log.add(notification(number * 1000, number, name=f"alert-{number % 3}", firing=number != 4))
    return dedup.stage(), log.state


def _detect() -> tuple[Stage[Any], Any]:
    gauge, many = detect_feed.series("cart", Kind.POOL), detect_feed.histogram("cart", [0.1, 0.5, None])
    rows = lambda i: [(gauge, 0.9 if i >= 60 else 0.1), *((one, float(i * (place + 1))) for place, one in enumerate(many))]  # noqa: E731
    log = detect_feed.each_second(70, rows, gauge, *many)
    return detect.stage(detect_feed.CONFIG), detect_feed.fold(log)


def states() -> dict[str, tuple[Stage[Any], Any]]:
    """Return each stage with a state that has something of everything."""
    control = {name: (running.stage, running.state) for name, running in _world().stages.items()}
    return control | {"correlate": _correlate(), "dedup": _dedup(), "detect": _detect()}


def path(stage: str, number: int) -> Path:
    return FOLDER / f"{stage}.{number}.z"


def saved(file: Path) -> bytes:
    return zlib.decompress(file.read_bytes())


def plain(stage: str, data: bytes) -> Any:
    """Return a saved state as plain values, to be compared."""
    return msgspec.msgpack.decode(unpack(data)) if stage == "detect" else json.loads(data)


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    for name, (stage, state) in states().items():
        if not (file := path(name, stage.format)).exists():
            file.write_bytes(zlib.compress(stage.snapshot(state), 9))
            print(f"saved {file.name}, {file.stat().st_size} bytes")


if __name__ == "__main__":
    main()
