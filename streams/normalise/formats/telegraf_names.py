"""What a field of Telegraf is called as a Prometheus metric: Telegraf's own rule, as far as the wire tells.

outputs.prometheus_client leaves away a field that is called `value`, and `counter` or `gauge` where the metric is of that type
(plugins/outputs/prometheus_client/v1/collector.go); neither line protocol nor JSON carry the type, so the field's name stands for it.
A measurement called `prometheus` is inputs.prometheus with metric_version = 2, which has the metric's whole name in the field
(plugins/serializers/prometheus/convert.go). Parts of histograms (`_bucket`, `_sum`, `_count`) are named in the field likewise.
"""

from __future__ import annotations

_NAMED_BY_FIELD = "prometheus"
_NAMED_BY_MEASUREMENT = frozenset({"value", "gauge", "counter"})


def metric_name(measurement: str, field: str) -> str:
    """Name a field as the producer wrote it; what Prometheus would not take in a name is replaced downstream."""
    if measurement == _NAMED_BY_FIELD:
        return field
    if field in _NAMED_BY_MEASUREMENT:
        return measurement
    return f"{measurement}_{field}"
