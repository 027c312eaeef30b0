-- airra.approvals.v1, continued: which policy was in force from when, and what nobody needed to decide any more.

CREATE TABLE IF NOT EXISTS policies
(
    id               String COMMENT 'Event id: one a change',
    digest           String COMMENT 'SHA-256 of the content: what was in force until the next row',
    content          String COMMENT 'The whole policy as JSON: rules, bounds, budget, and how long an LLM is waited for (0: it is off)',
    at               DateTime64(3, 'UTC') COMMENT 'When it was put on the log, UTC',
    source_topic     LowCardinality(String) COMMENT 'Topic of the record that made this row',
    source_partition Int32 COMMENT 'Partition of that record',
    source_offset    Int64 COMMENT 'Offset of that record',
    logged_at        DateTime64(3, 'UTC') COMMENT 'Append time of that record, UTC',
    row_version      UInt64 COMMENT 'Which row of an id counts: the highest. The model version, then the earliest offset'
)
ENGINE = ReplacingMergeTree(row_version)
ORDER BY (id)
COMMENT 'Which policy was in force, from which offset of the approvals log on';

CREATE TABLE IF NOT EXISTS withdrawals
(
    id               String COMMENT 'Event id: one an incident',
    incident         String COMMENT 'Incident id',
    reason           LowCardinality(String) COMMENT 'resolved, or acting: another proposal of it was being executed',
    ended_by         String COMMENT 'topic/partition@offset of the record that ended it',
    at               DateTime64(3, 'UTC') COMMENT 'When it was said, UTC',
    source_topic     LowCardinality(String) COMMENT 'Topic of the record that made this row',
    source_partition Int32 COMMENT 'Partition of that record',
    source_offset    Int64 COMMENT 'Offset of that record',
    logged_at        DateTime64(3, 'UTC') COMMENT 'Append time of that record, UTC',
    row_version      UInt64 COMMENT 'Which row of an id counts: the highest. The model version, then the earliest offset'
)
ENGINE = ReplacingMergeTree(row_version)
ORDER BY (id)
COMMENT 'Incidents with a proposal that nobody needed to decide any more';

ALTER TABLE decisions COMMENT COLUMN outcome 'approved, rejected, expired, superseded, withdrawn or forbidden';
