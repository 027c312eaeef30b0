-- How far AIRRA's confidence can be trusted. SELECT * FROM calibration_ece is the whole question.

CREATE VIEW IF NOT EXISTS calibration_pairs
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
WHERE isNotNull(o.correct)
COMMENT 'Confidence and whether it was right, one a verified live action whose cause could be told';

CREATE VIEW IF NOT EXISTS calibration_bins
(
    bin             UInt8 COMMENT '0 to 9; a confidence of 1 is in bin 9',
    low             Float64 COMMENT 'Lower end of the bin, inclusive',
    high            Float64 COMMENT 'Upper end of the bin',
    count           UInt64 COMMENT 'Pairs in the bin',
    mean_confidence Nullable(Float64) COMMENT 'Mean confidence; NULL in an empty bin',
    accuracy        Nullable(Float64) COMMENT 'Share that was right; NULL in an empty bin',
    gap             Nullable(Float64) COMMENT 'Distance between the two; NULL in an empty bin'
)
AS
SELECT toUInt8(b.number) AS bin, b.number / 10 AS low, (b.number + 1) / 10 AS high, p.pairs AS count,
       p.confidence AS mean_confidence, p.accuracy AS accuracy, abs(p.confidence - p.accuracy) AS gap
FROM numbers(10) AS b
LEFT JOIN
(
    SELECT toUInt64(least(greatest(floor(c.confidence * 10), 0), 9)) AS bin, count() AS pairs,
           toNullable(avg(c.confidence)) AS confidence, toNullable(avg(c.correct)) AS accuracy
    FROM calibration_pairs AS c
    GROUP BY bin
) AS p ON p.bin = b.number
ORDER BY bin
COMMENT 'Ten bins of confidence: how often AIRRA was right where it said so';

CREATE VIEW IF NOT EXISTS calibration_ece
(
    pairs           UInt64 COMMENT 'How many pairs there are',
    ece             Nullable(Float64) COMMENT 'Mean gap of the bins weighted by their count, 0 is perfect; NULL without pairs',
    mean_confidence Nullable(Float64) COMMENT 'Over all pairs',
    accuracy        Nullable(Float64) COMMENT 'Over all pairs',
    brier           Nullable(Float64) COMMENT 'Mean squared distance between confidence and correct'
)
AS
SELECT p.pairs AS pairs, if(p.pairs = 0, NULL, b.weighted / p.pairs) AS ece, p.confidence AS mean_confidence, p.accuracy AS accuracy, p.brier AS brier
FROM
(
    SELECT count() AS pairs, avgOrNull(c.confidence) AS confidence, avgOrNull(c.correct) AS accuracy, avgOrNull(pow(c.confidence - c.correct, 2)) AS brier
    FROM calibration_pairs AS c
) AS p
CROSS JOIN
(
    SELECT sum(ifNull(count * gap, 0)) AS weighted
    FROM calibration_bins
) AS b
COMMENT 'Expected calibration error over the ten bins, in one row';
