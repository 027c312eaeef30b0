"""Record a producer: python -m tests.golden.record collectd --into tests/golden/bytes [--program collectd=FILE …].

Each is started with the configuration that is kept beside its bytes, on 127.0.0.1 and in a folder that is gone afterwards. What would
tell of the machine on which it was recorded is not written.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from tests.golden.messages import BYTES, Recorded, write
from tests.golden.private import private
from tests.golden.producers import collectd, kcat, otel, prometheus, prompb, telegraf
from tests.golden.programs import Programs

RECORDERS: dict[str, Callable[[Programs, Path], Recorded]] = {
    "prometheus-2": prometheus.record_2,
    "prometheus-3": prometheus.record_3,
    "prometheus-3-types": prometheus.record_types,
    "prompb": prompb.record,
    "collectd": collectd.record,
    "telegraf": telegraf.record,
    "kcat": kcat.record,  # its lines are samples of prometheus-2
    "otel-python": otel.record_python,
    "otel-node": otel.record_node,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("producer", choices=[*RECORDERS])
    parser.add_argument("--into", type=Path, default=BYTES)
    parser.add_argument("--program", action="append", default=[], metavar="NAME=FILE", help="a program that is not on the PATH")
    asked = parser.parse_args()
    programs = Programs.named(asked.program)
    with tempfile.TemporaryDirectory() as folder:
        found = _plain(RECORDERS[asked.producer](programs, Path(folder)), Path(folder), programs.told)
    if words := private(_contents(found)):
        raise SystemExit(f"not written: it tells of this machine: {sorted(words)}")
    write(asked.into / asked.producer, found, f"python -m tests.golden.record {asked.producer}", datetime.now(UTC).date().isoformat())
    counts = ", ".join(f"{len(messages)} of {name}" for name, messages in found.messages.items())
    print(f"{asked.producer}: {counts or 'no messages'}; {dict(found.versions)}")


def _plain(found: Recorded, folder: Path, told: Mapping[str, Path]) -> Recorded:
    """Write folders of this machine as what they are."""
    names = [(str(folder), "FOLDER"), *((str(file), name) for name, file in told.items())]
    names += [(str(file.parents[1]), "PREFIX") for file in told.values()]

    def plain(text: str) -> str:
        for written, name in names:
            text = text.replace(written, name)
        return text

    configs = {name: plain(text) for name, text in found.configs.items()}
    return replace(found, commands=[plain(one) for one in found.commands], configs=configs)


def _contents(found: Recorded) -> Iterable[bytes]:
    for messages in found.messages.values():
        for message in messages:
            yield from (message.value, message.key or b"", *(value for _, value in message.headers))
    yield from found.segments.values()
    for text in (*found.says.values(), *found.configs.values(), *found.commands, *found.versions.values()):
        yield text.encode()


if __name__ == "__main__":
    main()
