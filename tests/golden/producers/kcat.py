"""kcat packing prometheus-kafka-adapter's JSON lines with each codec that Kafka has; the topic's own log shows what it packed.

The lines are samples that Prometheus recorded here, written as the adapter writes them: what kcat adds is keys, headers and packing.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

from tests.golden import topics
from tests.golden.messages import Message, Recorded, says
from tests.golden.programs import Programs, running, until
from tests.kafka.broker import KafkaBroker

CODECS = ("zstd", "lz4", "snappy", "gzip")
LINES = 60


def record(programs: Programs, folder: Path) -> Recorded:
    lines = _lines()
    (folder / "lines").write_text("".join(f"{key}\t{line}\n" for key, line in lines))
    messages: dict[str, list[Message]] = {}
    segments: dict[str, bytes] = {}
    commands: list[str] = []
    with KafkaBroker(folder / "kafka") as broker:
        topics.make(broker, *CODECS)
        for codec in CODECS:
            command: list[str | Path] = [programs.find("kcat"), "-P", "-b", broker.bootstrap, "-t", codec, "-z", codec, "-K", "\\t"]
            command += ["-H", "airra.format=prometheus-json"] if codec == "lz4" else []
            command += ["-l", "lines"]
            commands.append(" ".join(map(str, command)))
            with running(command, folder) as process:
                until(lambda process=process: process.poll() is not None, "kcat")  # type: ignore[misc]
            messages[codec] = topics.read(broker, codec)
            segments[f"{codec}.log"] = topics.segment(broker, codec)
    versions = {"kcat": programs.version("kcat", "-V").split(" builtin")[0]}
    return Recorded(versions, commands, {}, messages, {"lines.txt": "\n".join(line for _, line in lines)}, segments)


def _lines() -> list[tuple[str, str]]:
    """Return keys and lines."""
    found = [
        (one["metric"]["__name__"], _line(one["metric"], float(at), value))
        for one in json.loads(says("prometheus-2", "api.json"))
        for at, value in one.get("values", [])[:2]
        if value != "NaN"
    ]
    return found[:LINES]


def _line(labels: dict[str, str], at: float, value: str) -> str:
    """Write a sample as Telefónica's prometheus-kafka-adapter does: Go's JSON of a map, its keys sorted, the time in seconds."""
    time = datetime.fromtimestamp(int(at), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    told = {"labels": labels, "name": labels["__name__"], "timestamp": time, "value": value}
    return json.dumps(told, sort_keys=True, separators=(",", ":"))
