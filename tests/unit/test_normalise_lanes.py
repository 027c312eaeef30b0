"""Samples and events are read by consumers of their own: the lag of one never delays the other."""

from __future__ import annotations

import subprocess
import sys

import pytest

from schemas.config.metrics import MetricsMapping
from streams.harness.errors import Fatal
from streams.harness.kafka import KafkaSettings
from streams.normalise.consumer import Normaliser
from streams.normalise.lanes import lanes

MAPPING = MetricsMapping.model_validate({"metrics": [{"match": "requests_total", "kind": "requests", "type": "counter"}]})


def made(metrics: list[str], alerts: list[str], changes: list[str]) -> list[Normaliser]:
    return lanes(KafkaSettings("127.0.0.1:1"), MAPPING, metrics, alerts, changes, "0")


def read_by(normaliser: Normaliser) -> tuple[object, list[str]]:
    return normaliser._config()["group.id"], normaliser._sources.missing  # nothing has been seen on a broker yet


def test_alerts_and_changes_do_not_queue_behind_samples() -> None:
    assert [read_by(lane) for lane in made(["metrics"], ["alerts"], ["changes"])] == [
        ("airra-normalise", ["metrics"]),
        ("airra-normalise-events", ["alerts", "changes"]),
    ]


def test_a_lane_without_a_topic_is_not_run() -> None:
    assert [read_by(lane) for lane in made(["metrics"], [], [])] == [("airra-normalise", ["metrics"])]
    assert [read_by(lane) for lane in made([], ["alerts"], [])] == [("airra-normalise-events", ["alerts"])]


def test_a_topic_that_two_settings_name_is_told_though_no_lane_sees_both() -> None:
    with pytest.raises(Fatal, match="topic raw is named in both AIRRA_METRICS_TOPICS and AIRRA_ALERTS_TOPICS"):
        made(["raw"], ["raw"], [])


def test_what_reads_samples_is_imported_before_any_lane_runs() -> None:
    code = """
import sys
from schemas.config.metrics import MetricsMapping
from streams.harness.kafka import KafkaSettings
from streams.normalise.lanes import lanes
lanes(KafkaSettings("127.0.0.1:1"), MetricsMapping.model_validate({"metrics": [{"match": "up", "kind": "up"}]}), sys.argv[1:], ["alerts"], [], "0")
print("numba" in sys.modules)
"""
    with_samples, without = (
        subprocess.run([sys.executable, "-c", code, *topics], capture_output=True, text=True, check=True, timeout=60).stdout
        for topics in (["metrics"], [])
    )
    assert (with_samples, without) == ("True\n", "False\n")


def test_no_topic_at_all_is_told() -> None:
    with pytest.raises(Fatal, match="no raw topic is named"):
        made([], [], [])
