"""Metrics of a shop by OpenTelemetry's SDK, sent as OTLP in protobuf: shop.py URL cumulative|delta FOLDER. AIRRA itself has no such SDK."""

from __future__ import annotations

import json
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter  # type: ignore[import-not-found]
from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.sdk import metrics  # type: ignore[import-not-found]
from opentelemetry.sdk.metrics import export, view  # type: ignore[import-not-found]
from opentelemetry.sdk.resources import Resource  # type: ignore[import-not-found]

PACKAGES = ("opentelemetry-sdk", "opentelemetry-exporter-otlp-proto-http")


class Saying(OTLPMetricExporter):  # type: ignore[misc]
    """The exporter as it is; what it is handed is kept."""

    said: list[Any]

    def export(self, metrics_data: Any, *arguments: Any, **named: Any) -> Any:
        self.said.append(json.loads(metrics_data.to_json()))
        return super().export(metrics_data, *arguments, **named)


def queue_depth(_: CallbackOptions) -> list[Observation]:
    return [Observation(7, {"queue": "mail"}), Observation(0, {"queue": "invoices"})]


def main() -> None:
    url, temporality, folder = sys.argv[1], sys.argv[2], Path(sys.argv[3])
    chosen = export.AggregationTemporality[temporality.upper()]
    counting = {metrics.Counter: chosen, metrics.Histogram: chosen}
    exporter = Saying(endpoint=url, preferred_temporality=counting)
    exporter.said = []
    reader = export.PeriodicExportingMetricReader(exporter, export_interval_millis=3_600_000)
    exponential = view.View(instrument_name="shop.payment.duration", aggregation=view.ExponentialBucketHistogramAggregation())
    resource = Resource({"service.name": "cart", "service.instance.id": "cart-1", "host.name": "host-a"})
    provider = metrics.MeterProvider([reader], resource, views=[exponential])
    meter = provider.get_meter("shop", "1.2.3")
    orders = meter.create_counter("shop.orders", "{order}", "Orders placed")
    carts = meter.create_up_down_counter("shop.carts.open", "{cart}")
    meter.create_observable_gauge("shop.queue.depth", [queue_depth], "{message}")
    seconds = meter.create_histogram("http.server.request.duration", "s", "Duration of requests")
    payment = meter.create_histogram("shop.payment.duration", "s")
    for turn in (1, 2):
        orders.add(3 * turn, {"payment": "card"})
        orders.add(1, {"payment": "invoice"})
        carts.add(5 if turn == 1 else -2)
        for value in (0.004, 0.02, 0.3 * turn, 12.0):
            seconds.record(value, {"http.request.method": "GET", "http.response.status_code": 200})
        for value in (0.0, 0.11, 0.5 * turn, 3.0, 250.0):
            payment.record(value, {"provider": "bank-a"})
        provider.force_flush()
    provider.shutdown()
    (folder / f"{temporality}.json").write_text(json.dumps(exporter.said))
    (folder / "versions.json").write_text(json.dumps({name: version(name) for name in PACKAGES}))


if __name__ == "__main__":
    main()
