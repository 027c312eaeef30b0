"""What a person gets wrong at the command line ends in one clear line and the right exit code."""

import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
FAILED, WRONG_USAGE = 1, 2


def airra(*arguments: str, **settings: object) -> subprocess.CompletedProcess[str]:
    env = {name: value for name, value in os.environ.items() if not name.startswith("AIRRA_")}
    env |= {f"AIRRA_{name.upper()}": str(value) for name, value in settings.items()}
    command = [sys.executable, "-m", "cli.main", *arguments]
    return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=120, check=False, stdin=subprocess.DEVNULL)


def said(answer: subprocess.CompletedProcess[str]) -> str:
    assert "Traceback" not in answer.stderr
    return answer.stderr


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return shutil.copytree(ROOT / "config", tmp_path / "config")


@pytest.mark.parametrize(
    "command",
    [
        ("topics", "check"),
        ("act", "status"),
        ("dlq", "ls"),
        ("dlq", "replay", "--all"),
        ("worker", "detect"),
        ("worker", "control"),
        ("up",),
    ],
)
def test_a_broker_that_is_not_there(command: tuple[str, ...], tmp_path: Path) -> None:
    answer = airra(*command, kafka_bootstrap="127.0.0.1:9", data_dir=tmp_path)
    assert answer.returncode == FAILED
    assert "no Kafka at 127.0.0.1:9" in said(answer)
    assert "AIRRA_KAFKA_BOOTSTRAP" in answer.stderr
    assert "topics create" not in answer.stderr
    assert "roles started" not in answer.stderr


@pytest.mark.parametrize(("command", "topic"), [(("worker", "dedup"), "airra.alerts.v1"), (("dlq", "ls"), "airra.dlq.v1")])
def test_a_missing_topic_is_named_with_what_to_do(command: tuple[str, ...], topic: str, fresh_embedded: Any, tmp_path: Path) -> None:
    answer = airra(*command, kafka_bootstrap=fresh_embedded.bootstrap, data_dir=tmp_path)
    assert answer.returncode == FAILED
    assert f"has no topic {topic}" in said(answer)
    assert "airra topics create" in answer.stderr


def test_a_settings_typo(tmp_path: Path) -> None:
    answer = airra("topics", "check", kafka_botstrap="x", data_dir=tmp_path)
    assert answer.returncode == WRONG_USAGE
    assert "AIRRA_KAFKA_BOTSTRAP is not a setting; did you mean AIRRA_KAFKA_BOOTSTRAP?" in said(answer)


def test_an_unknown_runbook_action_names_its_place_and_the_allowed_ones(config: Path, tmp_path: Path) -> None:
    file = config / "runbooks.yaml"
    text = file.read_text()
    assert "action: restart" in text
    file.write_text(text.replace("action: restart", "action: reboot", 1))
    answer = airra("worker", "control", config_dir=config, data_dir=tmp_path)
    assert answer.returncode == WRONG_USAGE
    assert f"{file}: runbooks." in said(answer)
    assert "'restart'" in answer.stderr
    assert "reboot" in answer.stderr


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("detect", "sigmaa: 3\n", "did you mean sigma?"),
        ("policy", "rules: [{decide: maybe}]\n", "rules.0.decide"),
        ("metrics", "metrics: [\n", "not YAML"),
        ("topology", "services: [{name: a}]\ncalls: [{from: a, to: b}]\n", "not listed: b"),
    ],
)
def test_a_mistake_in_a_file_is_named_with_its_place(name: str, text: str, says: str, config: Path, tmp_path: Path) -> None:
    (config / f"{name}.yaml").write_text(text)
    role = {"detect": "detect", "metrics": "normalise"}.get(name, "control")
    answer = airra("worker", role, config_dir=config, data_dir=tmp_path)
    assert answer.returncode == WRONG_USAGE
    assert f"{name}.yaml" in said(answer)
    assert says in answer.stderr


@pytest.mark.parametrize(
    ("command", "says"),
    [
        (("worker", "detekt"), "the roles are normalise"),
        (("demo",), "give --yes"),
        (("demo", "--yes", "--fault", "nonsense"), "no fault named nonsense"),
        (("demo", "--yes", "--scenario", "/nowhere.yaml"), "/nowhere.yaml"),
        (("demo", "--fault", "none", "--seconds", "0"), "--seconds 0: must be above 0"),
        (("demo", "--fault", "none", "--seconds=-5"), "--seconds -5: must be above 0"),
        (("demo", "--yes", "--keep", "/proc/x"), "--keep=/proc/x: No such file"),
        (("demo", "--yes", "--json", "/nowhere/x.json"), "--json /nowhere/x.json: No such file"),
        (("act", "arm", "--for", "soon"), "write 90s, 15m or 8h"),
        (("approvals", "ls"), "no API runs"),
        (("dlq", "replay"), "say which letters"),
        (("dlq", "replay", "3", "--all"), "say which letters"),
        (("dlq", "replay", "3", "--history-after", "soon"), "write 90s, 15m or 8h"),
        (("doctor", "--recording", "/nowhere"), "/nowhere is no recording"),
        (("topics", "record", "/proc/x"), "FOLDER=/proc/x: No such file"),
    ],
)
def test_wrong_usage_is_exit_2(command: tuple[str, ...], says: str, tmp_path: Path) -> None:
    answer = airra(*command, data_dir=tmp_path)
    assert answer.returncode == WRONG_USAGE
    assert says in said(answer)


def test_an_unknown_option_is_exit_2() -> None:
    assert airra("demo", "--fast").returncode == WRONG_USAGE


@pytest.mark.parametrize(
    ("command", "settings", "says"),
    [
        (("topics", "check"), {"kafka_security_protocol": "SASL_SSL"}, "needs AIRRA_KAFKA_SASL_USERNAME"),
        (("dlq", "ls"), {"kafka_security_protocol": "SSL", "kafka_ssl_cafile": "/nonexistent"}, "AIRRA_KAFKA_SSL_CAFILE=/nonexistent"),
        (("worker", "detect"), {"data_dir": "/proc/x"}, "AIRRA_DATA_DIR=/proc/x: No such file"),
        (("up",), {"data_dir": "/proc/x"}, "AIRRA_DATA_DIR=/proc/x: No such file"),
        (("worker", "sink"), {"store_url": "nonsense"}, "AIRRA_STORE_URL: must look like http(s)://"),
        (("sql", "SELECT 1"), {"store_url": "nonsense"}, "AIRRA_STORE_URL: must look like http(s)://"),
        (("api",), {"api_host": "0.0.0.0"}, "AIRRA_API_HOST=0.0.0.0 without AIRRA_API_TOKENS"),
        (("up",), {"config_dir": "/nowhere"}, "/nowhere/detect.yaml"),
        (("up",), {"api_host": "999.1.1.1", "api_tokens": "ann:t"}, "AIRRA_API_HOST=999.1.1.1: "),
        (("worker", "normalise"), {"alerts_topics": "metrics"}, "metrics is named in both"),
        (("incident", "ls"), {"api_url": "http://[::1"}, "AIRRA_API_URL: no address"),
    ],
)
def test_a_wrong_setting_is_exit_2(command: tuple[str, ...], settings: dict[str, str], says: str, tmp_path: Path) -> None:
    answer = airra(*command, **{"data_dir": tmp_path, **settings})
    assert answer.returncode == WRONG_USAGE
    assert says in said(answer)
    assert "roles started" not in answer.stderr


def test_an_observe_port_in_use(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        answer = airra("worker", "detect", observe_port=port, data_dir=tmp_path)
    assert answer.returncode == WRONG_USAGE
    assert f"AIRRA_OBSERVE_PORT={port} on 127.0.0.1: Address already in use" in said(answer)


def test_a_store_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        answer = airra("sql", "SELECT 1", store_port=free.getsockname()[1], data_dir=tmp_path)
    assert answer.returncode == FAILED
    assert "airra doctor" in said(answer)
    assert len(answer.stderr.splitlines()) == 1


def test_what_a_worker_has_started_is_one_line_of_json(tmp_path: Path) -> None:
    answer = airra("worker", "api", "--json", kafka_bootstrap="127.0.0.1:9", api_port=0, data_dir=tmp_path)
    (line,) = answer.stdout.splitlines()
    told = json.loads(line)
    assert set(told) == {"role", "pid", "observe_port", "api_port"}
    assert told["role"] == "api"


def test_every_command_says_its_example_and_exit_codes_in_its_help() -> None:
    operate = (("doctor",), ("topics", "create"), ("topics", "record"), ("dlq", "ls"), ("dlq", "show"), ("dlq", "replay"))
    for command in (("demo",), ("up",), ("worker",), ("api",), ("sql",), ("act", "arm"), *operate):
        answer = airra(*command, "--help")
        assert answer.returncode == 0
        assert "Example" in answer.stdout, command
        assert "--json" in answer.stdout, command
        assert "Exit codes: 0 done" in answer.stdout, command
