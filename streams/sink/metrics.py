"""What the sink counts."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

RECORDS = Counter("airra_sink_records_total", "Records taken in, by their one fate; counted once flushed", ["topic", "fate"])
ROWS = Counter("airra_sink_rows_total", "Rows written, repeats after a crash included", ["table"])
FAILURES = Counter("airra_sink_failures_total", "Flushes or commits that must be repeated", ["what"])
FLUSH_SECONDS = Histogram("airra_sink_flush_seconds", "Writing one batch to the store")
BUFFERED = Gauge("airra_sink_buffered_records", "Records read and not yet flushed")
