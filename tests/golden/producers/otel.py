"""OpenTelemetry's SDKs: of Python in protobuf, of JavaScript in JSON; each also says what it handed to its exporter."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from tests.golden.messages import Recorded
from tests.golden.programs import Programs, running, until
from tests.golden.receiver import receiving

SDKS = Path(__file__).parents[1] / "sdks"
TEMPORALITIES = ("cumulative", "delta")


def record_python(programs: Programs, folder: Path) -> Recorded:
    """Record the SDK of the interpreter that --program otel-python names."""
    return _record(programs, folder, "otel-python", "shop.py")


def record_node(programs: Programs, folder: Path) -> Recorded:
    """Record the SDK that node finds by NODE_PATH."""
    return _record(programs, folder, "node", "shop.cjs")


def _record(programs: Programs, folder: Path, name: str, script: str) -> Recorded:
    says: dict[str, str] = {}
    commands: list[str] = []
    with receiving() as receiver:
        for temporality in TEMPORALITIES:
            command: Sequence[str | Path] = [programs.find(name), SDKS / script, receiver.url(f"/{temporality}"), temporality, folder]
            with running(command, folder) as process:
                until(lambda process=process: process.poll() is not None, script)  # type: ignore[misc]
            if process.returncode:
                raise RuntimeError((folder / f"{Path(command[0]).name}.log").read_text()[-2000:])
            says[f"{temporality}.json"] = (folder / f"{temporality}.json").read_text()
            commands.append(f"{name} {script} http://127.0.0.1:PORT/{temporality} {temporality} FOLDER")
        messages = {path.strip("/"): bodies for path, bodies in receiver.bodies.items()}
    versions = json.loads((folder / "versions.json").read_text())
    return Recorded(versions, commands, {}, messages, says)
