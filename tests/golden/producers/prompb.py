"""The field numbers of remote_write, from the definitions in Prometheus' own source (--program prometheus-source=FOLDER)."""

from __future__ import annotations

import json
import re
from pathlib import Path

from tests.golden.messages import Recorded
from tests.golden.programs import Programs

FILES = {"1.0": ("prompb/remote.proto", "prompb/types.proto"), "2.0": ("prompb/io/prometheus/write/v2/types.proto",)}
_MESSAGE = re.compile(r"^message (\w+) \{(.*?)^\}", re.DOTALL | re.MULTILINE)
_NESTED = re.compile(r"enum \w+ \{.*?\}", re.DOTALL)
_FIELD = re.compile(r"^\s*(repeated )?([\w.]+)\s+(\w+)\s*=\s*(\d+)", re.MULTILINE)


def record(programs: Programs, folder: Path) -> Recorded:
    del folder
    source = programs.find("prometheus-source")
    found = {version: fields("\n".join((source / name).read_text() for name in names)) for version, names in FILES.items()}
    version = (source / "VERSION").read_text().strip()
    return Recorded({"prometheus": version}, [], {}, {}, {"fields.json": json.dumps(found)})


def fields(definitions: str) -> dict[str, dict[str, tuple[int, str]]]:
    """Return number and type of each field, by message."""
    plain = re.sub(r"//[^\n]*", "", definitions)
    return {
        message: {name: (int(number), f"{repeated}{kind}") for repeated, kind, name, number in _FIELD.findall(_NESTED.sub("", body))}
        for message, body in _MESSAGE.findall(plain)
    }
