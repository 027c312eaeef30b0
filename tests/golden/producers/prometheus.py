"""Prometheus 2 and 3 scraping themselves, node_exporter and a peer; the latter two end in mid-run. Their API says which samples they have.

Prometheus 2 and node_exporter are Debian's. Prometheus 3 is Go's module github.com/prometheus/prometheus v0.314.0, built in a copy of it:
GOWORK=off go build -tags remove_all_sd -ldflags "-X github.com/prometheus/common/version.Version=3.14.0" ./cmd/prometheus
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import urlopen

from streams.harness.embedded import free_port
from tests.golden.messages import Message, Recorded
from tests.golden.programs import Programs, end, running, until
from tests.golden.receiver import Receiver, receiving

SCRAPES = 4  # of what is ended before its end, and of Prometheus after that
ENDED = ("node", "peer")
ALL = '{__name__!=""}'

EXPORTER = [
    "--collector.disable-defaults",
    "--collector.cpu",
    "--collector.loadavg",
    "--collector.meminfo",
    "--web.disable-exporter-metrics",
]

# What Prometheus tells of itself, but for most of it: a counter, gauges, histograms, summaries of which some nobody fed.
KEPT = "prometheus_build_info|prometheus_http_request.*|prometheus_engine_query_duration_seconds.*|prometheus_tsdb_head_(series|samples_.*)|go_gc_duration_seconds.*"

CONFIG = """global:
  scrape_interval: 1s
  scrape_timeout: 900ms
  external_labels: {{cluster: golden}}
scrape_configs:
  - job_name: node
    static_configs: [{{targets: ["127.0.0.1:{exporter}"], labels: {{instance: host-a}}}}]
  - job_name: peer
    {own}
    static_configs: [{{targets: ["127.0.0.1:{peer}"], labels: {{instance: prometheus-b}}}}]
    metric_relabel_configs: [{{source_labels: [__name__], regex: "prometheus_http_request_duration_seconds.*", action: keep}}]
  - job_name: prometheus
    {own}
    static_configs: [{{targets: ["127.0.0.1:{port}"], labels: {{instance: prometheus-a}}}}]
    metric_relabel_configs: [{{source_labels: [__name__], regex: "{kept}", action: keep}}]
"""
# Two jobs more: one whose histograms stay classic, and one whose classic histograms Prometheus 3 turns into native ones with buckets of their own (schema -53).
MORE_JOBS = """  - job_name: prometheus-classic
    static_configs: [{{targets: ["127.0.0.1:{port}"], labels: {{instance: prometheus-a}}}}]
    metric_relabel_configs: [{{source_labels: [__name__], regex: "prometheus_http_request_duration_seconds.*", action: keep}}]
  - job_name: prometheus-custom
    convert_classic_histograms_to_nhcb: true
    static_configs: [{{targets: ["127.0.0.1:{port}"], labels: {{instance: prometheus-a}}}}]
    metric_relabel_configs: [{{source_labels: [__name__], regex: "prometheus_http_request_duration_seconds.*", action: keep}}]
"""
WRITE = """remote_write:
  - url: {receiver}/write
    queue_config: {{max_shards: 1, batch_send_deadline: 1s}}
    metadata_config: {{send_interval: 5s}}
"""
WRITE_BOTH = """remote_write:
  - url: {receiver}/write
    send_native_histograms: true
    queue_config: {{max_shards: 1, batch_send_deadline: 1s}}
    metadata_config: {{send_interval: 5s}}
  - url: {receiver}/write2
    protobuf_message: io.prometheus.write.v2.Request
    send_native_histograms: true
    queue_config: {{max_shards: 1, batch_send_deadline: 1s}}
"""
WRITE_2 = """remote_write:
  - url: {receiver}/write2
    protobuf_message: io.prometheus.write.v2.Request
    queue_config: {{max_shards: 1, batch_send_deadline: 1s}}
"""


def record_2(programs: Programs, folder: Path) -> Recorded:
    """Record Prometheus 2: remote_write 1.0, floats alone."""
    return _record(programs, folder, "prometheus", CONFIG + WRITE, "honor_labels: false", [])


def record_3(programs: Programs, folder: Path) -> Recorded:
    """Record Prometheus 3: remote_write 1.0 and 2.0 of the same samples, native histograms among them."""
    return _record(
        programs,
        folder,
        "prometheus3",
        CONFIG + MORE_JOBS + WRITE_BOTH,
        "scrape_native_histograms: true",
        ["--enable-feature=metadata-wal-records"],
    )


def record_types(programs: Programs, folder: Path) -> Recorded:
    """Record Prometheus 3 as it tells types by 2.0: as labels too. The flag metadata-wal-records, given above, has 3.14 tell none."""
    return _record(programs, folder, "prometheus3", CONFIG + WRITE_2, "honor_labels: false", ["--enable-feature=type-and-unit-labels"])


def _record(programs: Programs, folder: Path, name: str, template: str, own: str, features: list[str]) -> Recorded:
    port, exporter_port, peer_port = free_port(), free_port(), free_port()
    node: list[str | Path] = [programs.find("prometheus-node-exporter"), *EXPORTER, f"--web.listen-address=127.0.0.1:{exporter_port}"]
    peer = command_of(programs, name, "peer", peer_port)
    command = [*command_of(programs, name, "prometheus", port), *features]
    with receiving() as receiver:
        config = template.format(exporter=exporter_port, peer=peer_port, port=port, own=own, kept=KEPT, receiver=receiver.url(""))
        (folder / "prometheus.yml").write_text(config)
        (folder / "peer.yml").write_text("{}\n")
        with exporting(node, folder, exporter_port) as end_node, exporting(peer, folder, peer_port) as end_peer, running(command, folder):
            api = Api(port)
            until(lambda: all(api.count(job, 1) >= SCRAPES for job in ENDED), f"{SCRAPES} scrapes")
            end_node()
            end_peer()
            until(lambda: all(api.count(job, 0) >= SCRAPES for job in ENDED), f"{SCRAPES} scrapes after their end")
            said = {"api.json": json.dumps(api.samples()), "metadata.json": json.dumps(api.types())}
        messages = _messages(receiver)
    commands = [" ".join(str(part) for part in one) for one in (node, peer, command)]
    versions = {one: programs.version(one, "--version") for one in ("prometheus-node-exporter", name)}
    return Recorded(versions, commands, {"prometheus.yml": config}, messages, said)


def command_of(programs: Programs, name: str, which: str, port: int) -> list[str | Path]:
    listen = f"--web.listen-address=127.0.0.1:{port}"
    return [programs.find(name), f"--config.file={which}.yml", f"--storage.tsdb.path={which}-data", listen]


def _messages(receiver: Receiver) -> dict[str, list[Message]]:
    names = {"/write": "remote-write", "/write2": "remote-write-2"}
    return {names[path]: bodies for path, bodies in receiver.bodies.items()}


@contextmanager
def exporting(command: list[str | Path], folder: Path, port: int) -> Iterator[Any]:
    with running(command, folder) as process:
        until(lambda: _answers(f"http://127.0.0.1:{port}/metrics"), str(command[0]))
        yield lambda: end(process)


def _answers(url: str) -> bool:
    try:
        with urlopen(url) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


class Api:
    def __init__(self, port: int) -> None:
        self._url = f"http://127.0.0.1:{port}/api/v1"

    def count(self, job: str, up: int) -> int:
        """Return in how many scrapes a job was up, or not."""
        found = self._ask(f'up{{job="{job}"}}[10m]')
        return sum(float(value) == up for series in found for _, value in series["values"])

    def samples(self) -> list[Any]:
        """Return every sample there is: [{metric, values: [[seconds, text]], histograms: [[seconds, {count, sum, buckets}]]}]."""
        return self._ask(f"{ALL}[10m]")

    def types(self) -> dict[str, str]:
        """Return the type of each metric, by its name without what histograms and summaries put behind it."""
        with urlopen(f"{self._url}/metadata") as answer:
            found = json.load(answer)["data"]
        return {name: one[0]["type"] for name, one in found.items()}

    def _ask(self, query: str) -> list[Any]:
        try:
            with urlopen(f"{self._url}/query?{urlencode({'query': query})}") as answer:
                return list(json.load(answer)["data"]["result"])
        except OSError:
            return []  # it is not there yet
