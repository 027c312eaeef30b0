-- Means of the same rows are the same number, however the rows lie on disk: floats add up to another last digit in another order,
-- so they are added in the order of their size. A replay then shows the very same calibration.

CREATE OR REPLACE VIEW calibration_bins
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
           toNullable(arraySum(arraySort(groupArray(c.confidence))) / count()) AS confidence, toNullable(avg(c.correct)) AS accuracy
    FROM calibration_pairs AS c
    GROUP BY bin
) AS p ON p.bin = b.number
ORDER BY bin
COMMENT 'Ten bins of confidence: how often AIRRA was right where it said so';

CREATE OR REPLACE VIEW calibration_ece
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
    SELECT count() AS pairs, avgOrNull(c.correct) AS accuracy,
           if(count() = 0, NULL, arraySum(arraySort(groupArray(c.confidence))) / count()) AS confidence,
           if(count() = 0, NULL, arraySum(arraySort(groupArray(pow(c.confidence - c.correct, 2)))) / count()) AS brier
    FROM calibration_pairs AS c
) AS p
CROSS JOIN
(
    SELECT arraySum(arraySort(groupArray(ifNull(count * gap, 0)))) AS weighted
    FROM calibration_bins
) AS b
COMMENT 'Expected calibration error over the ten bins, in one row';
