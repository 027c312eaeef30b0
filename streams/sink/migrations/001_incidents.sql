-- airra.incidents.v1: every version of every incident, and operators' feedback.

CREATE TABLE IF NOT EXISTS incidents
(
    id               String COMMENT 'Event id: one an incident version',
    incident         String COMMENT 'Incident id',
    phase            LowCardinality(String) COMMENT 'opened, updated or resolved',
    version          UInt32 COMMENT 'Version of the incident, from 1',
    title            String COMMENT 'One line for people',
    severity         LowCardinality(String) COMMENT 'info, warning or critical',
    services         Array(String) COMMENT 'Affected services, worst first',
    opened_at        DateTime64(3, 'UTC') COMMENT 'Event time at which it opened, UTC',
    at               DateTime64(3, 'UTC') COMMENT 'Event time of this version, UTC',
    suspects         Array(Tuple(anomaly String, reason String, series String, service String, metric String, kind String, opener UInt8, open UInt8, opened_at DateTime64(3, 'UTC'), value Float64, baseline Float64, low Float64, high Float64, z Float64)) COMMENT 'The anomalous series; the view suspects has one a row',
    alerts           Array(String) COMMENT 'Names of the alerts that belong to it',
    changes          Array(String) COMMENT 'Ids of the changes in its neighbourhood',
    signals          Array(String) COMMENT 'topic/partition@offset of the signals that made this version',
    source_topic     LowCardinality(String) COMMENT 'Topic of the record that made this row',
    source_partition Int32 COMMENT 'Partition of that record',
    source_offset    Int64 COMMENT 'Offset of that record',
    logged_at        DateTime64(3, 'UTC') COMMENT 'Append time of that record, UTC',
    row_version      UInt64 COMMENT 'Which row of an id counts: the highest. The model version, then the earliest offset'
)
ENGINE = ReplacingMergeTree(row_version)
ORDER BY (id)
COMMENT 'Every version of an incident as the log holds it; incidents_current has the newest of each';

CREATE TABLE IF NOT EXISTS feedback
(
    id                String COMMENT 'Event id: one a statement',
    incident          String COMMENT 'Incident id',
    subject           String COMMENT 'Who said it',
    confirmed_service Nullable(String) COMMENT 'The guilty service, if named',
    confirmed_cause   LowCardinality(Nullable(String)) COMMENT 'The cause, if named',
    note              String COMMENT 'Free text',
    at                DateTime64(3, 'UTC') COMMENT 'When it was said, UTC',
    source_topic      LowCardinality(String) COMMENT 'Topic of the record that made this row',
    source_partition  Int32 COMMENT 'Partition of that record',
    source_offset     Int64 COMMENT 'Offset of that record',
    logged_at         DateTime64(3, 'UTC') COMMENT 'Append time of that record, UTC',
    row_version       UInt64 COMMENT 'Which row of an id counts: the highest. The model version, then the earliest offset'
)
ENGINE = ReplacingMergeTree(row_version)
ORDER BY (id)
COMMENT 'An operator''s word on the cause of an incident';
