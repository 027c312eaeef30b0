"""collectd's write_kafka, counters as they stand (StoreRates false) and their rates (true); its write_prometheus and csv say what it sent."""

from __future__ import annotations

from pathlib import Path
from urllib.request import urlopen

from streams.harness.embedded import free_port
from tests.golden import topics
from tests.golden.messages import Message, Recorded
from tests.golden.programs import Programs, running, until
from tests.kafka.broker import KafkaBroker

READINGS = 6  # a value list each of every series

CONFIG = """Hostname "host-a"
FQDNLookup false
Interval 1
PIDFile "{folder}/collectd.pid"
PluginDir "{prefix}/lib/collectd"
TypesDB "{prefix}/share/collectd/types.db"
LoadPlugin cpu
LoadPlugin memory
LoadPlugin load
LoadPlugin csv
LoadPlugin write_prometheus
LoadPlugin write_kafka
<Plugin csv>
  DataDir "{folder}/csv"
  StoreRates {rates}
</Plugin>
<Plugin write_prometheus>
  Host "127.0.0.1"
  Port "{port}"
</Plugin>
<Plugin write_kafka>
  Property "metadata.broker.list" "{kafka}"
  <Topic "{topic}">
    Format JSON
    StoreRates {rates}
  </Topic>
</Plugin>
"""


def record(programs: Programs, folder: Path) -> Recorded:
    binary = programs.find("collectd")
    messages: dict[str, list[Message]] = {}
    says: dict[str, str] = {}
    configs: dict[str, str] = {}
    with KafkaBroker(folder / "kafka") as broker:
        topics.make(broker, "counters", "rates")
        for topic, rates in (("counters", "false"), ("rates", "true")):
            home = folder / topic
            home.mkdir()
            port = free_port()
            config = CONFIG.format(folder=home, prefix=binary.parents[1], rates=rates, port=port, kafka=broker.bootstrap, topic=topic)
            configs[f"{topic}.conf"] = config
            (home / f"{topic}.conf").write_text(config)
            with running([binary, "-f", "-C", f"{topic}.conf"], home):
                until(lambda home=home: _readings(home) >= READINGS, "six readings")  # type: ignore[misc]
                with urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
                    says[f"{topic}.prometheus.txt"] = answer.read().decode()
            messages[topic] = topics.read(broker, topic)
            says[f"{topic}.csv"] = _lines(home / "csv")
    version = programs.version("collectd", "-h").removeprefix("collectd ").split(",")[0]
    return Recorded({"collectd": version}, ["collectd -f -C counters.conf", "collectd -f -C rates.conf"], configs, messages, says)


def _files(home: Path) -> list[Path]:
    return sorted(path for path in home.glob("*/*/*") if path.is_file())


def _readings(home: Path) -> int:
    return min((len(path.read_text().splitlines()) - 1 for path in _files(home / "csv")), default=0)


def _lines(home: Path) -> str:
    """Return all files of the plugin csv as one: host/plugin/type, then what each line has."""
    return "".join(
        f"{path.relative_to(home).with_name(path.name[: -len('-2000-01-01')])},{line}\n"
        for path in _files(home)
        for line in path.read_text().splitlines()
        if not line.startswith("epoch")
    )
