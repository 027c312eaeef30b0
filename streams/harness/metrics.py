"""What the harness counts for every stage and effector."""

from __future__ import annotations

from collections.abc import Mapping

from prometheus_client import Counter, Gauge, Histogram

RECORDS = Counter("airra_harness_records_total", "records folded", ["stage"])
OUTPUTS = Counter("airra_harness_outputs_total", "records appended", ["stage"])
POISON = Counter("airra_harness_poison_total", "records sent to the dead-letter topic", ["stage", "reason"])
REREAD = Counter("airra_harness_reread_total", "holes in what the consumer delivered, closed by reading again", ["stage"])
RENEWED = Counter("airra_harness_recovery_renewed_total", "times a recovery got nothing and read its changelogs on", ["source"])
TRUNCATED = Counter("airra_harness_truncated_records_total", "records that retention deleted before they were read", ["stage"])
ANEW = Counter("airra_harness_logs_made_anew_total", "partitions whose log was found to be another than the state's", ["stage"])
TICKS = Counter("airra_harness_ticks_total", "ticks written", ["stage"])
LAG = Gauge("airra_harness_lag_records", "records appended and not yet folded", ["stage", "partition"])
SNAPSHOT_BYTES = Gauge("airra_harness_snapshot_bytes", "size of the last snapshot", ["stage", "partition"])
SNAPSHOT_COST = Counter("airra_harness_snapshot_cost_seconds_total", "time that capturing and packing snapshots took", ["stage"])
SNAPSHOT_SECONDS = Histogram("airra_harness_snapshot_seconds", "from the capture of a snapshot to its last acknowledgement", ["stage"])
PERFORMED = Counter("airra_harness_performed_total", "intents performed", ["effector", "result"])
PENDING = Gauge("airra_harness_pending_intents", "intents without a result", ["effector"])
VIEW_OFFSET = Gauge("airra_harness_view_offset", "next offset that a view will fold", ["topic", "partition"])
VIEW_POISON = Counter("airra_harness_view_poison_total", "records that a view could not read", ["topic"])


def tell_lag(stage: str, lags: Mapping[int, int]) -> None:
    """Say how far a stage is behind in each partition that it has; of those that have gone it says nothing any more."""
    told = {sample.labels["partition"] for family in LAG.collect() for sample in family.samples if sample.labels["stage"] == stage}
    for gone in told - {str(partition) for partition in lags}:
        LAG.remove(stage, gone)
    for partition, lag in lags.items():
        LAG.labels(stage, str(partition)).set(lag)
