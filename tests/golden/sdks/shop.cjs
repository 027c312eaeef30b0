// Metrics of a shop by OpenTelemetry's SDK, sent as OTLP in JSON: node shop.cjs URL cumulative|delta FOLDER
"use strict";
const fs = require("node:fs");
const path = require("node:path");
const { resourceFromAttributes } = require("@opentelemetry/resources");
const { AggregationType, MeterProvider, PeriodicExportingMetricReader } = require("@opentelemetry/sdk-metrics");
const { AggregationTemporalityPreference, OTLPMetricExporter } = require("@opentelemetry/exporter-metrics-otlp-http");

const [url, temporality, folder] = process.argv.slice(2);
const PACKAGES = ["@opentelemetry/sdk-metrics", "@opentelemetry/exporter-metrics-otlp-http"];
const said = [];

// The exporter as it is; what it is handed is kept.
class Saying extends OTLPMetricExporter {
  export(metrics, done) {
    said.push(
      metrics.scopeMetrics.flatMap((scope) =>
        scope.metrics.map(({ descriptor, aggregationTemporality, dataPointType, dataPoints }) => ({
          name: descriptor.name,
          unit: descriptor.unit,
          aggregationTemporality,
          dataPointType,
          dataPoints: dataPoints.map(({ attributes, endTime, value }) => ({ attributes, endTime, value })),
        })),
      ),
    );
    super.export(metrics, done);
  }
}

async function main() {
  const exporter = new Saying({ url, temporalityPreference: AggregationTemporalityPreference[temporality.toUpperCase()] });
  const reader = new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: 3_600_000 });
  const resource = resourceFromAttributes({ "service.name": "cart", "service.instance.id": "cart-1", "host.name": "host-a" });
  const views = [{ instrumentName: "shop.payment.duration", aggregation: { type: AggregationType.EXPONENTIAL_HISTOGRAM } }];
  const provider = new MeterProvider({ resource, readers: [reader], views });
  const meter = provider.getMeter("shop", "1.2.3");
  const orders = meter.createCounter("shop.orders", { unit: "{order}", description: "Orders placed" });
  const carts = meter.createUpDownCounter("shop.carts.open", { unit: "{cart}" });
  const queues = meter.createObservableGauge("shop.queue.depth", { unit: "{message}" });
  queues.addCallback((result) => {
    result.observe(7, { queue: "mail" });
    result.observe(0, { queue: "invoices" });
  });
  const seconds = meter.createHistogram("http.server.request.duration", { unit: "s" });
  const payment = meter.createHistogram("shop.payment.duration", { unit: "s" });
  for (const turn of [1, 2]) {
    orders.add(3 * turn, { payment: "card" });
    orders.add(1, { payment: "invoice" });
    carts.add(turn === 1 ? 5 : -2);
    for (const value of [0.004, 0.02, 0.3 * turn, 12]) {
      seconds.record(value, { "http.request.method": "GET", "http.response.status_code": 200 });
    }
    for (const value of [0, 0.11, 0.5 * turn, 3, 250]) {
      payment.record(value, { provider: "bank-a" });
    }
    await provider.forceFlush();
  }
  await provider.shutdown();
  fs.writeFileSync(path.join(folder, `${temporality}.json`), JSON.stringify(said));
  const version = (name) => {
    let at = path.dirname(require.resolve(name));
    while (!fs.existsSync(path.join(at, "package.json")) || !JSON.parse(fs.readFileSync(path.join(at, "package.json"))).version) at = path.dirname(at);
    return JSON.parse(fs.readFileSync(path.join(at, "package.json"))).version;
  };
  fs.writeFileSync(path.join(folder, "versions.json"), JSON.stringify(Object.fromEntries(PACKAGES.map((name) => [name, version(name)]))));
}

main();
