"""Telegraf's Kafka output, line protocol and JSON; its file output writes the same metrics as its Prometheus serializer names them.

A Telegraf of these plugins alone: go install -tags
custom,inputs.cpu,inputs.mem,inputs.system,outputs.kafka,outputs.file,serializers.influx,serializers.json,serializers.prometheus
-ldflags "-X github.com/influxdata/telegraf/internal.Version=1.37.2" github.com/influxdata/telegraf/cmd/telegraf@v1.37.2
"""

from __future__ import annotations

from pathlib import Path

from tests.golden import topics
from tests.golden.messages import Recorded
from tests.golden.programs import Programs, running, until
from tests.kafka.broker import KafkaBroker

MESSAGES = 30  # of each topic, at least

CONFIG = """[agent]
  interval = "1s"
  flush_interval = "1s"
  hostname = "host-a"

[[inputs.cpu]]
[[inputs.mem]]
[[inputs.system]]

[[outputs.kafka]]
  brokers = ["{kafka}"]
  topic = "influx"
  data_format = "influx"

[[outputs.kafka]]
  brokers = ["{kafka}"]
  topic = "json"
  compression_codec = 2
  data_format = "json"

[[outputs.file]]
  files = ["{folder}/says.txt"]
  data_format = "prometheus"
  prometheus_export_timestamp = true
"""


def record(programs: Programs, folder: Path) -> Recorded:
    binary = programs.find("telegraf")
    with KafkaBroker(folder / "kafka") as broker:
        topics.make(broker, "influx", "json")
        config = CONFIG.format(kafka=broker.bootstrap, folder=folder)
        (folder / "telegraf.conf").write_text(config)
        with running([binary, "--config", "telegraf.conf"], folder):
            until(lambda: min(topics.count(broker, "influx"), topics.count(broker, "json")) >= MESSAGES, f"{MESSAGES} messages")
        messages = {name: topics.read(broker, name) for name in ("influx", "json")}
    says = {"prometheus.txt": (folder / "says.txt").read_text()}
    version = programs.version("telegraf", "--version").removeprefix("Telegraf ")
    return Recorded({"telegraf": version}, ["telegraf --config telegraf.conf"], {"telegraf.conf": config}, messages, says)
