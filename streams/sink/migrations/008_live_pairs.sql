-- A dry run shows what would be done and proves nothing: an operator's word on the cause makes no pair of it.

CREATE OR REPLACE VIEW calibration_pairs
(
    outcome      String COMMENT 'Outcome id',
    incident     String COMMENT 'Incident id',
    action       String COMMENT 'Action id, the idempotency key towards the target',
    service      String COMMENT 'The target',
    cause        LowCardinality(String) COMMENT 'The cause acted on, or as confirmed',
    confidence   Float64 COMMENT 'What AIRRA said, 0 to 1',
    correct      UInt8 COMMENT '1 it was right, 0 it was not',
    verdict      LowCardinality(String) COMMENT 'What verification saw',
    confirmed_by Nullable(String) COMMENT 'The operator who confirmed the cause',
    at           DateTime64(3, 'UTC') COMMENT 'When it was verified, UTC'
)
AS
SELECT id AS outcome, incident, action, service, cause, confidence, assumeNotNull(o.correct) AS correct, verdict, confirmed_by, at
FROM outcomes AS o FINAL
WHERE isNotNull(o.correct) AND o.mode = 'live'
COMMENT 'Confidence and whether it was right, one a verified live action whose cause could be told';
