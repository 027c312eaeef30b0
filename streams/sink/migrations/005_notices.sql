-- airra.notices.v1 and airra.dlq.v1: what people were told, and records that could not be read.

CREATE TABLE IF NOT EXISTS notices
(
    id               String COMMENT 'Event id: one a notice',
    kind             LowCardinality(String) COMMENT 'incident_opened, approval_needed, executed, verified, undone, escalated and so on',
    incident         String COMMENT 'Incident id',
    severity         LowCardinality(String) COMMENT 'info, warning or critical',
    title            String COMMENT 'One line',
    text             String COMMENT 'The rest',
    at               DateTime64(3, 'UTC') COMMENT 'When it was written, UTC',
    source_topic     LowCardinality(String) COMMENT 'Topic of the record that made this row',
    source_partition Int32 COMMENT 'Partition of that record',
    source_offset    Int64 COMMENT 'Offset of that record',
    logged_at        DateTime64(3, 'UTC') COMMENT 'Append time of that record, UTC',
    row_version      UInt64 COMMENT 'Which row of an id counts: the highest. The model version, then the earliest offset'
)
ENGINE = ReplacingMergeTree(row_version)
ORDER BY (id)
COMMENT 'What AIRRA told people';

CREATE TABLE IF NOT EXISTS deliveries
(
    id               String COMMENT 'Event id: one a notice and receiver',
    notice           String COMMENT 'Notice id',
    receiver         LowCardinality(String) COMMENT 'To whom',
    status           LowCardinality(String) COMMENT 'delivered or failed',
    attempts         UInt32 COMMENT 'How often it was tried',
    detail           String COMMENT 'Why it failed',
    at               DateTime64(3, 'UTC') COMMENT 'When it ended, UTC',
    source_topic     LowCardinality(String) COMMENT 'Topic of the record that made this row',
    source_partition Int32 COMMENT 'Partition of that record',
    source_offset    Int64 COMMENT 'Offset of that record',
    logged_at        DateTime64(3, 'UTC') COMMENT 'Append time of that record, UTC',
    row_version      UInt64 COMMENT 'Which row of an id counts: the highest. The model version, then the earliest offset'
)
ENGINE = ReplacingMergeTree(row_version)
ORDER BY (id)
COMMENT 'What came of telling, one a notice and receiver';

CREATE TABLE IF NOT EXISTS dead_letters
(
    id               String COMMENT 'Event id: one an original record and stage',
    stage            LowCardinality(String) COMMENT 'Which stage gave it up; empty if the dead letter does not say',
    reason           LowCardinality(String) COMMENT 'Why, as a word',
    detail           String COMMENT 'Why, in words',
    topic            LowCardinality(String) COMMENT 'Topic of the original',
    partition        Int32 COMMENT 'Its partition',
    offset           Int64 COMMENT 'Its offset',
    source_topic     LowCardinality(String) COMMENT 'Topic of the record that made this row',
    source_partition Int32 COMMENT 'Partition of that record',
    source_offset    Int64 COMMENT 'Offset of that record',
    logged_at        DateTime64(3, 'UTC') COMMENT 'Append time of that record, UTC',
    row_version      UInt64 COMMENT 'Which row of an id counts: the highest. The model version, then the earliest offset'
)
ENGINE = ReplacingMergeTree(row_version)
ORDER BY (id)
COMMENT 'Records that no stage could read: where they stood and why, never their content';
