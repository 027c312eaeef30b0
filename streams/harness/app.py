"""The Faust app of one stage: one agent, one table, every setting with its reason."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import faust

from streams.harness.consumer import use_corrected_consumer
from streams.harness.fetched import Owner
from streams.harness.kafka import HEARTBEAT_MS, MAX_REQUEST_BYTES, NEVER_POLLED_MS, SESSION_TIMEOUT_MS, KafkaSettings
from streams.harness.recovery import PromptTables
from streams.harness.stage import Stage

COMMIT_EVERY_S = 0.5
BUFFERED_RECORDS = 500  # batches of 100 kB: 50 MB
RECOVERY_BUFFER = 5  # at Faust's 1000, chunks of 500 kB held 542 MB
TABLE = "state"


def group_of(name: str) -> str:
    return f"airra-{name}"


def changelog_of(name: str) -> str:
    return f"{group_of(name)}-{TABLE}-changelog"


def build_app(
    stage: Stage[Any],
    kafka: KafkaSettings,
    instance: str,
    data_dir: Path,
    partitions: int,
    *,
    owner: Owner,
    agent: Callable[[Any], Any],
    revoked: Callable[..., Any],
    assigned: Callable[..., Any],
) -> tuple[faust.App, Any]:
    """Return the app, not started, and its table."""
    folder = data_dir / "faust" / stage.name  # Faust insists on one; memory tables put nothing into it
    folder.mkdir(parents=True, exist_ok=True)
    app = faust.App(
        group_of(stage.name),
        **kafka.faust(),
        datadir=str(folder),
        consumer_group_instance_id=f"{stage.name}-{instance}",  # a killed member is back in 1 to 2 s instead of 10 to 20
        web_enabled=False,
        key_serializer="raw",
        value_serializer="raw",
        topic_partitions=partitions,
        topic_allow_declare=False,  # a mistyped creation silently gives other partitions: topics are created beforehand
        topic_disable_leader=True,
        stream_buffer_maxsize=BUFFERED_RECORDS,
        stream_wait_empty=False,  # what is in hand when partitions go is folded again by the next owner
        stream_recovery_delay=0.0,
        broker_session_timeout=SESSION_TIMEOUT_MS / 1000,
        broker_heartbeat_interval=HEARTBEAT_MS / 1000,
        broker_max_poll_interval=NEVER_POLLED_MS / 1000,
        broker_commit_interval=COMMIT_EVERY_S,
        consumer_max_fetch_size=MAX_REQUEST_BYTES,
        producer_max_request_size=MAX_REQUEST_BYTES,
        producer_acks=-1,
        producer_linger=0,
        worker_redirect_stdouts=False,
        TableManager=PromptTables,
    )
    use_corrected_consumer(app, owner)
    raw = {"key_type": bytes, "value_type": bytes, "key_serializer": "raw", "value_serializer": "raw"}
    table = app.Table(TABLE, key_type=bytes, value_type=bytes, partitions=partitions, recovery_buffer_size=RECOVERY_BUFFER)
    app.agent(app.topic(stage.topic, partitions=partitions, **raw), name=group_of(stage.name), concurrency=1)(agent)
    app.on_partitions_revoked.connect(revoked)
    app.on_partitions_assigned.connect(assigned)
    return app, table
