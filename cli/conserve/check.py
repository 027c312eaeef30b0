"""Conservation: whatever a stage took in ended in exactly one fate. From the topics alone, live or recorded; no stage is asked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cli.config import load
from cli.conserve.account import Account
from cli.conserve.ended import grants, stored
from cli.conserve.folded import stages
from cli.conserve.logs import Logs
from cli.conserve.normalised import normalise
from cli.wiring import folds
from schemas.config.metrics import MetricsMapping
from schemas.settings import Settings
from streams.normalise.lanes import EVENTS
from streams.sink.rows import TOPICS

RECENT = 20_000  # records of each log that a look at the live system goes through: seconds
NORMALISE = "airra-normalise"


def groups(settings: Settings) -> dict[str, Sequence[str]]:
    """Return every consumer group with the topics that it commits."""
    events = [*settings.alerts_topics, *settings.changes_topics]
    found: dict[str, Sequence[str]] = {
        NORMALISE: settings.sample_topics,
        f"airra-{EVENTS}": events,
        "airra-sink": [spec.name for spec in TOPICS],
    }
    return found | {f"airra-{stage.name}": [stage.topic] for stage in folds(settings)}


def conserved(logs: Logs, settings: Settings, client: Any | None, recent: int | None) -> list[Account]:
    """Account for every stage; of long logs only the `recent` newest records, None: all. `client` of the store, if it can be asked.

    Raises Fatal where the broker does not answer, ConfigError for configuration files that cannot be read.
    """
    mapping = load(MetricsMapping, settings.file("metrics"))
    return [
        *normalise(logs, settings, mapping, groups(settings), recent),
        *stages(logs, folds(settings), recent),
        grants(logs),
        stored(logs, client, recent),
    ]
