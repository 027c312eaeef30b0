-- airra.approvals.v1: proposals, commands, decisions, arming, undo requests, explanations.

CREATE TABLE IF NOT EXISTS proposals
(
    id               String COMMENT 'Event id: one an incident version',
    incident         String COMMENT 'Incident id',
    incident_version UInt32 COMMENT 'Version of the incident it was made from',
    title            String COMMENT 'One line for people',
    reason           LowCardinality(String) COMMENT 'Why this proposal: cure_found, or why AIRRA abstains',
    root_cause       String COMMENT 'Guilty service of the best hypothesis; empty if there is none',
    cause            LowCardinality(String) COMMENT 'Its cause category; empty if there is none',
    confidence       Nullable(Float64) COMMENT 'Confidence of the hypothesis acted on, 0 to 1; NULL if AIRRA abstains',
    action_name      LowCardinality(String) COMMENT 'The chosen action; none if AIRRA abstains',
    service          String COMMENT 'Its target; empty if AIRRA abstains',
    params           String COMMENT 'Its parameters as JSON',
    risk             Nullable(Float64) COMMENT 'Risk of the chosen action, 0 to 1',
    blast_radius     Nullable(Float64) COMMENT 'Share of the system it may touch, 0 to 1',
    blast_level      LowCardinality(String) COMMENT 'minimal to critical; empty if AIRRA abstains',
    urgency          Nullable(Float64) COMMENT '1.0 to 5.0',
    reversible       Nullable(UInt8) COMMENT '1 if it can be undone',
    expected_effect  String COMMENT 'What it promises',
    criticality      LowCardinality(String) COMMENT 'Of the target service',
    digest_dry_run   Nullable(String) COMMENT 'What an approval of a dry run binds',
    digest_live      Nullable(String) COMMENT 'What an approval to act binds',
    runbooks_digest  String COMMENT 'Which runbook catalogue it was made with',
    hypotheses       Array(Tuple(rank UInt8, service String, cause String, score Float64, confidence Float64, part_base Float64, part_evidence Float64, part_anomaly Float64, part_topology Float64, part_pattern Float64, runbook Nullable(String), reasons Array(String), series Array(String), changes Array(String))) COMMENT 'Ranked explanations; the view hypotheses has one a row',
    candidates       Array(Tuple(action String, service String, params String, hypothesis UInt8, cures UInt8, risk Float64, blast_radius Float64, blast_level String, urgency Float64, reversible UInt8, expected_effect String, undo Nullable(String))) COMMENT 'Applicable actions, best first; the view candidates has one a row',
    at               DateTime64(3, 'UTC') COMMENT 'When it was made, UTC',
    expires_at       DateTime64(3, 'UTC') COMMENT 'When it stops being approvable, UTC',
    source_topic     LowCardinality(String) COMMENT 'Topic of the record that made this row',
    source_partition Int32 COMMENT 'Partition of that record',
    source_offset    Int64 COMMENT 'Offset of that record',
    logged_at        DateTime64(3, 'UTC') COMMENT 'Append time of that record, UTC',
    row_version      UInt64 COMMENT 'Which row of an id counts: the highest. The model version, then the earliest offset'
)
ENGINE = ReplacingMergeTree(row_version)
ORDER BY (id)
COMMENT 'What AIRRA proposed to do about an incident, or that it abstained';

CREATE TABLE IF NOT EXISTS commands
(
    id               String COMMENT 'Event id: one a request',
    proposal         String COMMENT 'Proposal id',
    verb             LowCardinality(String) COMMENT 'approve or reject',
    mode             LowCardinality(String) COMMENT 'dry_run or live',
    digest           Nullable(String) COMMENT 'Which content was approved',
    subject          String COMMENT 'Who',
    role             LowCardinality(String) COMMENT 'In which role',
    reason           String COMMENT 'Why, in their words',
    at               DateTime64(3, 'UTC') COMMENT 'When it was said, UTC',
    source_topic     LowCardinality(String) COMMENT 'Topic of the record that made this row',
    source_partition Int32 COMMENT 'Partition of that record',
    source_offset    Int64 COMMENT 'Offset of that record',
    logged_at        DateTime64(3, 'UTC') COMMENT 'Append time of that record, UTC',
    row_version      UInt64 COMMENT 'Which row of an id counts: the highest. The model version, then the earliest offset'
)
ENGINE = ReplacingMergeTree(row_version)
ORDER BY (id)
COMMENT 'What people asked for through the API, the losers of a race included';

CREATE TABLE IF NOT EXISTS decisions
(
    id               String COMMENT 'Event id: one a proposal',
    proposal         String COMMENT 'Proposal id',
    incident         String COMMENT 'Incident id',
    outcome          LowCardinality(String) COMMENT 'approved, rejected, expired, superseded or forbidden',
    mode             LowCardinality(String) COMMENT 'dry_run or live',
    digest           Nullable(String) COMMENT 'The content that it binds',
    subject          String COMMENT 'A person, policy or clock',
    reason           String COMMENT 'Why',
    command          Nullable(String) COMMENT 'topic/partition@offset of the command that decided',
    at               DateTime64(3, 'UTC') COMMENT 'When it was decided, UTC',
    source_topic     LowCardinality(String) COMMENT 'Topic of the record that made this row',
    source_partition Int32 COMMENT 'Partition of that record',
    source_offset    Int64 COMMENT 'Offset of that record',
    logged_at        DateTime64(3, 'UTC') COMMENT 'Append time of that record, UTC',
    row_version      UInt64 COMMENT 'Which row of an id counts: the highest. The model version, then the earliest offset'
)
ENGINE = ReplacingMergeTree(row_version)
ORDER BY (id)
COMMENT 'The one decision on each proposal: the first valid word in log order';

CREATE TABLE IF NOT EXISTS arming
(
    id               String COMMENT 'Event id: one an order',
    armed            UInt8 COMMENT '1 armed, 0 disarmed',
    by               String COMMENT 'Who',
    cluster          String COMMENT 'The Kafka cluster it holds on',
    until            DateTime64(3, 'UTC') COMMENT 'End of its force, UTC',
    at               DateTime64(3, 'UTC') COMMENT 'When it was said, UTC',
    source_topic     LowCardinality(String) COMMENT 'Topic of the record that made this row',
    source_partition Int32 COMMENT 'Partition of that record',
    source_offset    Int64 COMMENT 'Offset of that record',
    logged_at        DateTime64(3, 'UTC') COMMENT 'Append time of that record, UTC',
    row_version      UInt64 COMMENT 'Which row of an id counts: the highest. The model version, then the earliest offset'
)
ENGINE = ReplacingMergeTree(row_version)
ORDER BY (id)
COMMENT 'When acting was allowed on this cluster, and by whom';

CREATE TABLE IF NOT EXISTS undo_requests
(
    id               String COMMENT 'Event id: one an undo',
    action           String COMMENT 'Action id, the idempotency key towards the target',
    proposal         String COMMENT 'Proposal id',
    incident         String COMMENT 'Incident id',
    reason           String COMMENT 'What got worse',
    at               DateTime64(3, 'UTC') COMMENT 'When it was asked, UTC',
    source_topic     LowCardinality(String) COMMENT 'Topic of the record that made this row',
    source_partition Int32 COMMENT 'Partition of that record',
    source_offset    Int64 COMMENT 'Offset of that record',
    logged_at        DateTime64(3, 'UTC') COMMENT 'Append time of that record, UTC',
    row_version      UInt64 COMMENT 'Which row of an id counts: the highest. The model version, then the earliest offset'
)
ENGINE = ReplacingMergeTree(row_version)
ORDER BY (id)
COMMENT 'Verification saw an action make things worse';

CREATE TABLE IF NOT EXISTS explanations
(
    id               String COMMENT 'Event id: one a proposal',
    proposal         String COMMENT 'Proposal id',
    provider         LowCardinality(String) COMMENT 'anthropic or openai',
    model            LowCardinality(String) COMMENT 'Model name',
    status           LowCardinality(String) COMMENT 'ok or failed',
    text             String COMMENT 'The explanation',
    order            Array(Int32) COMMENT 'Its order of the candidates, as positions in the proposal',
    agrees           Nullable(UInt8) COMMENT '1 if it would choose the same action',
    missing_evidence Array(String) COMMENT 'What it would like to know',
    error            String COMMENT 'Why it failed',
    input_tokens     UInt64 COMMENT 'Tokens sent',
    output_tokens    UInt64 COMMENT 'Tokens received',
    at               DateTime64(3, 'UTC') COMMENT 'When it answered, UTC',
    source_topic     LowCardinality(String) COMMENT 'Topic of the record that made this row',
    source_partition Int32 COMMENT 'Partition of that record',
    source_offset    Int64 COMMENT 'Offset of that record',
    logged_at        DateTime64(3, 'UTC') COMMENT 'Append time of that record, UTC',
    row_version      UInt64 COMMENT 'Which row of an id counts: the highest. The model version, then the earliest offset'
)
ENGINE = ReplacingMergeTree(row_version)
ORDER BY (id)
COMMENT 'The LLM''s later word on a proposal: it changes nothing';
