"""`airra up` for real on the embedded broker: it tells what it started, and a wrong configuration ends it."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from cli.acting import of_type
from cli.demo.stack import Stack
from cli.roles import ROLES
from schemas import topics as catalogue
from schemas.approvals import Arming
from streams.harness.topics import create_topics

ROOT = Path(__file__).resolve().parents[2]
WITHIN_S = 90.0


def until(condition: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + WITHIN_S
    while not (found := condition()):
        assert time.monotonic() < deadline, "the condition did not come true"
        time.sleep(0.1)
    return found


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


@contextmanager
def up(kafka: Any, folder: Path, *arguments: str, config: Path = ROOT / "config") -> Iterator[subprocess.Popen[str]]:
    env = {name: value for name, value in os.environ.items() if not name.startswith("AIRRA_")}
    settings = {"kafka_bootstrap": kafka.bootstrap, "data_dir": folder / "var", "config_dir": config, "api_port": 0, "store_port": 0}
    env |= {f"AIRRA_{name.upper()}": str(value) for name, value in settings.items()}
    with (folder / "said").open("w") as stderr:
        command = [sys.executable, "-m", "cli.main", "up", *arguments]
        process = subprocess.Popen(command, cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=stderr, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_what_runs_is_told_in_one_line_and_stops_in_order(fresh_embedded: Any, tmp_path: Path) -> None:
    create_topics(fresh_embedded.kafka, catalogue.CATALOGUE)
    with up(fresh_embedded, tmp_path, "--json") as process:
        assert process.stdout is not None
        told = json.loads(process.stdout.readline())
        assert told["pid"] == process.pid
        assert set(told["roles"]) == set(ROLES)
        pids = [role["pid"] for role in told["roles"].values()]
        assert all(alive(pid) for pid in pids)
        assert told["roles"]["api"]["api_port"] > 0
        assert told["roles"]["sink"]["store_port"] > 0
        process.send_signal(signal.SIGTERM)
        assert process.wait(40) == 0
        assert not any(alive(pid) for pid in pids)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_role_whose_configuration_went_wrong_stops_everything(fresh_embedded: Any, tmp_path: Path) -> None:
    create_topics(fresh_embedded.kafka, catalogue.CATALOGUE)
    config = shutil.copytree(ROOT / "config", tmp_path / "config")
    out = tmp_path / "started.json"
    with up(fresh_embedded, tmp_path, "--json", str(out), config=config) as process:
        until(lambda: out.exists() and out.read_text())
        roles = json.loads(out.read_text())["roles"]
        (config / "detect.yaml").write_text("sigmaa: 3\n")
        os.kill(roles["detect"]["pid"], signal.SIGKILL)
        assert process.wait(60) == 2
        said = (tmp_path / "said").read_text()
        assert "did you mean sigma?" in said
        assert "airra: detect: " in said
        assert not any(alive(role["pid"]) for role in roles.values())


def test_a_broker_that_outlives_the_demo_is_left_disarmed(fresh_embedded: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stack = Stack(tmp_path, {}, fresh_embedded.bootstrap, roles=())
    monkeypatch.setattr(stack, "wait_ready", lambda *_, **__: None)
    with stack:
        stack.arm(600.0)
    said = [Arming.model_validate_json(value) for value in of_type(fresh_embedded.kafka, catalogue.APPROVALS.name, "arming", 0)]
    assert [record.armed for record in said] == [True, False]
