-- Views that answer the usual questions without FINAL, argMax or arrays.

CREATE VIEW IF NOT EXISTS incidents_current
(
    incident    String COMMENT 'Incident id',
    phase       LowCardinality(String) COMMENT 'opened, updated or resolved',
    version     UInt32 COMMENT 'Newest version',
    title       String COMMENT 'One line for people',
    severity    LowCardinality(String) COMMENT 'info, warning or critical',
    services    Array(String) COMMENT 'Affected services, worst first',
    opened_at   DateTime64(3, 'UTC') COMMENT 'Event time at which it opened, UTC',
    resolved_at Nullable(DateTime64(3, 'UTC')) COMMENT 'Event time at which it was resolved, UTC; NULL while it goes on',
    at          DateTime64(3, 'UTC') COMMENT 'Event time of the newest version, UTC'
)
AS
SELECT incident, phase, version, title, severity, services, opened_at, if(phase = 'resolved', at, NULL) AS resolved_at, at
FROM incidents FINAL
ORDER BY incident, version DESC, source_offset ASC
LIMIT 1 BY incident
COMMENT 'The newest version of each incident';

CREATE VIEW IF NOT EXISTS suspects
(
    incident  String COMMENT 'Incident id',
    version   UInt32 COMMENT 'Version of the incident',
    series    String COMMENT 'Series id',
    service   String COMMENT 'Its service',
    metric    String COMMENT 'Its metric',
    kind      LowCardinality(String) COMMENT 'What the metric says',
    anomaly   String COMMENT 'Anomaly id',
    reason    LowCardinality(String) COMMENT 'shift or silence',
    opener    UInt8 COMMENT '1 if it was among those that opened the incident',
    open      UInt8 COMMENT '0 once it is back in its band',
    opened_at DateTime64(3, 'UTC') COMMENT 'When it left its band, UTC',
    value     Float64 COMMENT 'Newest value',
    baseline  Float64 COMMENT 'Ordinary value',
    low       Float64 COMMENT 'Lower end of the ordinary band',
    high      Float64 COMMENT 'Upper end of the ordinary band',
    z         Float64 COMMENT 'Robust standard deviations from the baseline'
)
AS
SELECT incident, version, s.series AS series, s.service AS service, s.metric AS metric, s.kind AS kind, s.anomaly AS anomaly, s.reason AS reason,
       s.opener AS opener, s.open AS open, s.opened_at AS opened_at, s.value AS value, s.baseline AS baseline, s.low AS low, s.high AS high, s.z AS z
FROM incidents FINAL
ARRAY JOIN suspects AS s
COMMENT 'The anomalous series of each incident version, one a row';

CREATE VIEW IF NOT EXISTS hypotheses
(
    proposal      String COMMENT 'Proposal id',
    incident      String COMMENT 'Incident id',
    rank          UInt8 COMMENT '1 is best',
    service       String COMMENT 'The suspected service',
    cause         LowCardinality(String) COMMENT 'The suspected cause',
    score         Float64 COMMENT 'What the ranking sorted by',
    confidence    Float64 COMMENT '0.01 to 0.99',
    part_base     Float64 COMMENT 'Base confidence of the cause',
    part_evidence Float64 COMMENT 'Part of the evidence',
    part_anomaly  Float64 COMMENT 'Part of the anomaly',
    part_topology Float64 COMMENT 'Part of the service graph',
    part_pattern  Float64 COMMENT 'Part of the pattern',
    runbook       Nullable(String) COMMENT 'The runbook that cures it, if there is one',
    reasons       Array(String) COMMENT 'One sentence each',
    series        Array(String) COMMENT 'The evidence: series ids',
    changes       Array(String) COMMENT 'The evidence: ids of changes',
    at            DateTime64(3, 'UTC') COMMENT 'When it was proposed, UTC'
)
AS
SELECT id AS proposal, incident, h.rank AS rank, h.service AS service, h.cause AS cause, h.score AS score, h.confidence AS confidence,
       h.part_base AS part_base, h.part_evidence AS part_evidence, h.part_anomaly AS part_anomaly, h.part_topology AS part_topology,
       h.part_pattern AS part_pattern, h.runbook AS runbook, h.reasons AS reasons, h.series AS series, h.changes AS changes, at
FROM proposals FINAL
ARRAY JOIN hypotheses AS h
COMMENT 'The ranked explanations of each proposal with the parts of their confidence, one a row';

CREATE VIEW IF NOT EXISTS candidates
(
    proposal        String COMMENT 'Proposal id',
    incident        String COMMENT 'Incident id',
    position        UInt32 COMMENT '1 is best',
    action_name     LowCardinality(String) COMMENT 'The action; none is do nothing',
    service         String COMMENT 'The target',
    params          String COMMENT 'Parameters as JSON',
    hypothesis      UInt8 COMMENT 'Rank of the hypothesis that it would cure; 0 for do nothing',
    cures           UInt8 COMMENT '1 if a runbook lists it as the cure',
    risk            Float64 COMMENT '0 to 1',
    blast_radius    Float64 COMMENT '0 to 1',
    blast_level     LowCardinality(String) COMMENT 'minimal to critical',
    urgency         Float64 COMMENT '1.0 to 5.0',
    reversible      UInt8 COMMENT '1 if it can be undone',
    expected_effect String COMMENT 'What it promises',
    undo            Nullable(String) COMMENT 'The action that takes it back, as JSON',
    at              DateTime64(3, 'UTC') COMMENT 'When it was proposed, UTC'
)
AS
SELECT id AS proposal, incident, position, c.action AS action_name, c.service AS service, c.params AS params, c.hypothesis AS hypothesis,
       c.cures AS cures, c.risk AS risk, c.blast_radius AS blast_radius, c.blast_level AS blast_level, c.urgency AS urgency,
       c.reversible AS reversible, c.expected_effect AS expected_effect, c.undo AS undo, at
FROM proposals FINAL
ARRAY JOIN candidates AS c, arrayEnumerate(candidates) AS position
COMMENT 'The applicable actions of each proposal with what they risk, one a row';

CREATE VIEW IF NOT EXISTS actions_current
(
    action      String COMMENT 'Action id, the idempotency key towards the target',
    proposal    String COMMENT 'Proposal id',
    incident    String COMMENT 'Incident id',
    mode        LowCardinality(String) COMMENT 'dry_run or live',
    action_name LowCardinality(String) COMMENT 'What is done',
    service     String COMMENT 'To whom',
    params      String COMMENT 'Parameters as JSON',
    undo_of     Nullable(String) COMMENT 'The action that this one takes back',
    state       LowCardinality(String) COMMENT 'granted, started, refused, succeeded, failed or unknown',
    reason      String COMMENT 'Why it was refused; else empty',
    granted_at  Nullable(DateTime64(3, 'UTC')) COMMENT 'When it was granted, UTC',
    started_at  Nullable(DateTime64(3, 'UTC')) COMMENT 'When it started, UTC',
    finished_at Nullable(DateTime64(3, 'UTC')) COMMENT 'When it finished, UTC'
)
AS
SELECT action, any(e.proposal) AS proposal, any(e.incident) AS incident, any(e.mode) AS mode, any(e.action_name) AS action_name, any(e.service) AS service,
       any(e.params) AS params, any(e.undo_of) AS undo_of,
       multiIf(countIf(event = 'finished') > 0, argMaxIf(status, source_offset, event = 'finished'),
               countIf(event = 'refused') > 0, 'refused', countIf(event = 'started') > 0, 'started', 'granted') AS state,
       argMaxIf(e.reason, source_offset, event = 'refused') AS reason,
       minOrNullIf(at, event = 'grant') AS granted_at, minOrNullIf(at, event = 'started') AS started_at, maxOrNullIf(at, event = 'finished') AS finished_at
FROM actions AS e FINAL
GROUP BY action
COMMENT 'How far each action has come';

CREATE VIEW IF NOT EXISTS outcome_metrics
(
    outcome     String COMMENT 'Outcome id',
    action      String COMMENT 'Action id, the idempotency key towards the target',
    incident    String COMMENT 'Incident id',
    verdict     LowCardinality(String) COMMENT 'Verdict on the whole action',
    series      String COMMENT 'Series id',
    service     String COMMENT 'Its service',
    metric      String COMMENT 'Its metric',
    before      Nullable(Float64) COMMENT 'Just before the action',
    after       Nullable(Float64) COMMENT 'After it',
    improvement Nullable(Float64) COMMENT '0.2 is 20 % better; negative is worse',
    in_band     UInt8 COMMENT '1 if it is back in its ordinary band',
    points      UInt32 COMMENT 'How many points were seen after the action',
    at          DateTime64(3, 'UTC') COMMENT 'When it was verified, UTC'
)
AS
SELECT id AS outcome, action, incident, verdict, m.series AS series, m.service AS service, m.metric AS metric, m.before AS before, m.after AS after,
       m.improvement AS improvement, m.in_band AS in_band, m.points AS points, at
FROM outcomes FINAL
ARRAY JOIN metrics AS m
COMMENT 'Before and after of each series that opened the incident, one a row';

CREATE VIEW IF NOT EXISTS llm_usage
(
    day           Date COMMENT 'Day, UTC',
    provider      LowCardinality(String) COMMENT 'anthropic or openai',
    model         LowCardinality(String) COMMENT 'Model name',
    answers       UInt64 COMMENT 'Answers that came',
    failures      UInt64 COMMENT 'Answers that did not',
    input_tokens  UInt64 COMMENT 'Tokens sent',
    output_tokens UInt64 COMMENT 'Tokens received'
)
AS
SELECT toDate(at, 'UTC') AS day, provider, model, countIf(status = 'ok') AS answers, countIf(status = 'failed') AS failures,
       sum(e.input_tokens) AS input_tokens, sum(e.output_tokens) AS output_tokens
FROM explanations AS e FINAL
GROUP BY day, provider, model
COMMENT 'Answers and tokens of the LLM, a row a day and model';
