"""The catalogue of topics: names, partitions, retention, keys. `airra topics create|check` applies and compares it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

DAY_MS = 86_400_000
MIN_INSYNC = "min.insync.replicas"
CONTROL_RETENTION_MS = 400 * DAY_MS  # an auditor comes a year later


def min_insync(replication: int) -> int:
    """Of three replicas two must hold what is acknowledged: one may be lost or away. Of fewer, one: waiting for all stops at the first."""
    return 2 if replication >= 3 else 1


@dataclass(frozen=True, slots=True)
class TopicSpec:
    name: str
    plane: Literal["raw", "data", "control"]
    partitions: int
    key: str
    retention_ms: int
    cleanup: str = "delete"
    max_message_bytes: int = 1_048_588
    append_time: bool = False  # control plane: the broker's clock stamps the record

    def config(self, replication: int = 1) -> dict[str, str]:
        return {
            MIN_INSYNC: str(min_insync(replication)),
            "cleanup.policy": self.cleanup,
            "retention.ms": str(self.retention_ms),
            "max.message.bytes": str(self.max_message_bytes),
            "message.timestamp.type": "LogAppendTime" if self.append_time else "CreateTime",
        }


RAW_METRICS = TopicSpec("metrics", "raw", 4, "the producer's own", DAY_MS, max_message_bytes=10_485_760)
RAW_ALERTS = TopicSpec("alerts", "raw", 1, "the producer's own", 7 * DAY_MS, max_message_bytes=10_485_760)
RAW_CHANGES = TopicSpec("changes", "raw", 1, "the producer's own", 30 * DAY_MS)
WRITE = TopicSpec("airra.write.v1", "raw", 4, "source", DAY_MS, max_message_bytes=10_485_760)  # bodies of remote_write
SAMPLES = TopicSpec("airra.samples.v1", "data", 4, "service", DAY_MS, max_message_bytes=4_194_304)
SERIES = TopicSpec("airra.series.v1", "data", 1, "series id", DAY_MS, cleanup="compact")
ALERTS = TopicSpec("airra.alerts.v1", "data", 4, "fingerprint", 7 * DAY_MS)
SIGNALS = TopicSpec("airra.signals.v1", "control", 1, "service", 30 * DAY_MS, append_time=True)
INCIDENTS = TopicSpec("airra.incidents.v1", "control", 1, "incident", CONTROL_RETENTION_MS, append_time=True)
APPROVALS = TopicSpec("airra.approvals.v1", "control", 1, "proposal", CONTROL_RETENTION_MS, append_time=True)
ACTIONS = TopicSpec("airra.actions.v1", "control", 1, "action", CONTROL_RETENTION_MS, append_time=True)
OUTCOMES = TopicSpec("airra.outcomes.v1", "control", 1, "action", CONTROL_RETENTION_MS, append_time=True)
NOTICES = TopicSpec("airra.notices.v1", "control", 1, "incident", CONTROL_RETENTION_MS, append_time=True)
DLQ = TopicSpec("airra.dlq.v1", "data", 1, "the original's", 30 * DAY_MS, max_message_bytes=11_534_336)

CATALOGUE = (
    RAW_METRICS, RAW_ALERTS, RAW_CHANGES, WRITE, SAMPLES, SERIES, ALERTS, SIGNALS, INCIDENTS, APPROVALS, ACTIONS, OUTCOMES, NOTICES, DLQ
)  # fmt: skip
