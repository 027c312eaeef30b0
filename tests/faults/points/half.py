"""Half of the control role, so that one can be struck without the other: `python -m tests.faults.points.half folds|effects`."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import replace

from cli import logs
from cli.roles import BUILDERS
from cli.run import serve_role
from cli.settings import read_settings
from cli.wiring import Parts, control
from schemas.settings import Settings
from streams.harness.kafka import KafkaSettings
from streams.harness.readiness import Readiness


def folds(settings: Settings, kafka: KafkaSettings, readiness: Readiness) -> Parts:
    return replace(control(settings, kafka, readiness), effectors=[])


def effects(settings: Settings, kafka: KafkaSettings, readiness: Readiness) -> Parts:
    return replace(control(settings, kafka, readiness), stages=[], plain=[])


def main() -> None:
    half = sys.argv[1]
    BUILDERS[half] = {"folds": folds, "effects": effects}[half]
    settings = read_settings()
    logs.configure(settings.log_level, half)
    asyncio.run(serve_role(half, settings))


if __name__ == "__main__":
    main()
