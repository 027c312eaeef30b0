-- airra.outcomes.v1: the verified end of each action.

CREATE TABLE IF NOT EXISTS outcomes
(
    id               String COMMENT 'Event id: one an action',
    version          UInt32 COMMENT '1, higher once an operator confirmed the cause',
    action           String COMMENT 'Action id, the idempotency key towards the target',
    proposal         String COMMENT 'Proposal id',
    incident         String COMMENT 'Incident id',
    mode             LowCardinality(String) COMMENT 'dry_run or live',
    service          String COMMENT 'The target',
    cause            LowCardinality(String) COMMENT 'Cause acted on, or as confirmed',
    action_name      LowCardinality(String) COMMENT 'What was done',
    verdict          LowCardinality(String) COMMENT 'success, partial, none, worse or inconclusive',
    confidence       Float64 COMMENT 'Confidence of the hypothesis acted on, 0 to 1',
    correct          Nullable(UInt8) COMMENT '1 the cause was right, 0 it was not, NULL it cannot be told',
    confirmed_by     Nullable(String) COMMENT 'The operator who confirmed the cause',
    metrics          Array(Tuple(series String, service String, metric String, before Nullable(Float64), after Nullable(Float64), improvement Nullable(Float64), in_band UInt8, points UInt32)) COMMENT 'Before and after of each opening series; the view outcome_metrics has one a row',
    started_at       DateTime64(3, 'UTC') COMMENT 'When the action started, UTC',
    finished_at      DateTime64(3, 'UTC') COMMENT 'When it finished, UTC',
    at               DateTime64(3, 'UTC') COMMENT 'When it was verified, UTC',
    source_topic     LowCardinality(String) COMMENT 'Topic of the record that made this row',
    source_partition Int32 COMMENT 'Partition of that record',
    source_offset    Int64 COMMENT 'Offset of that record',
    logged_at        DateTime64(3, 'UTC') COMMENT 'Append time of that record, UTC',
    row_version      UInt64 COMMENT 'Which row of an id counts: the highest. The model version, then the earliest offset'
)
ENGINE = ReplacingMergeTree(row_version)
ORDER BY (id)
COMMENT 'The verified end of each action, the newest version of each';
