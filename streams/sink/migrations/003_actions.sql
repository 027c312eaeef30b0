-- airra.actions.v1: grants, what execute did with them, and who owned the executor.

CREATE TABLE IF NOT EXISTS actions
(
    id               String COMMENT 'Event id: one an event',
    event            LowCardinality(String) COMMENT 'grant, started, refused or finished',
    action           String COMMENT 'Action id, the idempotency key towards the target',
    proposal         String COMMENT 'Proposal id',
    incident         String COMMENT 'Incident id',
    decision         String COMMENT 'Decision id; set on a grant',
    mode             LowCardinality(String) COMMENT 'dry_run or live',
    action_name      LowCardinality(String) COMMENT 'What is done',
    service          String COMMENT 'To whom',
    params           String COMMENT 'Parameters as JSON',
    undo_of          Nullable(String) COMMENT 'The action that this one takes back',
    status           LowCardinality(String) COMMENT 'finished: succeeded, failed or unknown; else empty',
    reason           LowCardinality(String) COMMENT 'refused: why; else empty',
    detail           String COMMENT 'More words',
    epoch            Nullable(Int64) COMMENT 'started: the fencing token',
    looked_up        UInt8 COMMENT 'finished: 1 if learned by looking up after a restart',
    before           String COMMENT 'finished: the target before, as JSON',
    after            String COMMENT 'finished: the target after, as JSON',
    seen             String COMMENT 'started, refused: what the last check saw, as JSON',
    lease_until      Nullable(DateTime64(3, 'UTC')) COMMENT 'grant: until when it may be acted on, UTC',
    at               DateTime64(3, 'UTC') COMMENT 'When it happened, UTC',
    source_topic     LowCardinality(String) COMMENT 'Topic of the record that made this row',
    source_partition Int32 COMMENT 'Partition of that record',
    source_offset    Int64 COMMENT 'Offset of that record',
    logged_at        DateTime64(3, 'UTC') COMMENT 'Append time of that record, UTC',
    row_version      UInt64 COMMENT 'Which row of an id counts: the highest. The model version, then the earliest offset'
)
ENGINE = ReplacingMergeTree(row_version)
ORDER BY (event, id)
COMMENT 'Every event of every action; actions_current has one row an action';

CREATE TABLE IF NOT EXISTS epochs
(
    id               String COMMENT 'Event id: one an owner and start',
    owner            String COMMENT 'Which process',
    at               DateTime64(3, 'UTC') COMMENT 'When it took over, UTC',
    source_topic     LowCardinality(String) COMMENT 'Topic of the record that made this row',
    source_partition Int32 COMMENT 'Partition of that record',
    source_offset    Int64 COMMENT 'Offset of that record',
    logged_at        DateTime64(3, 'UTC') COMMENT 'Append time of that record, UTC',
    row_version      UInt64 COMMENT 'Which row of an id counts: the highest. The model version, then the earliest offset'
)
ENGINE = ReplacingMergeTree(row_version)
ORDER BY (id)
COMMENT 'Owners of the executor; the offset of each is its fencing token';
