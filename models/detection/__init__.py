"""Detection: raw series → derived series → robust z-scores → anomalies and health. Pure; event time only."""
