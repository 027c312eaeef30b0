"""Two consumers in one process: an hour of samples that waits to be read must not keep an alert waiting."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module

from schemas.config.metrics import MetricsMapping
from streams.harness.kafka import KafkaSettings
from streams.normalise.consumer import Normaliser
from streams.normalise.core import STAGE
from streams.normalise.formats.choice import Choice
from streams.normalise.sources import Sources

EVENTS = f"{STAGE}-events"


def lanes(
    kafka: KafkaSettings,
    mapping: MetricsMapping,
    metrics: Sequence[str],
    alerts: Sequence[str],
    changes: Sequence[str],
    instance: str,
    choice: Choice | None = None,
) -> list[Normaliser]:
    """Return the consumer of samples and that of alerts and changes; each has its own group, queue and producer.

    Raises Fatal for settings that name no topic, or one topic twice.
    """
    Sources(metrics, alerts, changes)  # what both lanes name twice, neither sees
    if metrics:  # hundreds of files: beside a lane at work, which takes the interpreter at each of them, it would last long
        import_module("streams.normalise.adapter_columns")
    samples = [Normaliser(kafka, mapping, metrics, instance=instance, choice=choice)] if metrics else []
    events = [Normaliser(kafka, mapping, (), alerts, changes, instance, lane=EVENTS)] if alerts or changes else []
    return samples + events
