"""What is looked at before a process starts: each mistake names its setting and what to do."""

import json
import os
import shutil
import socket
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError

from cli import preflight, run, runfile
from cli.config import ConfigError
from cli.observe import ObserveServer
from cli.roles import ROLES
from schemas import topics
from schemas.settings import PREFIX, Settings
from streams.harness.errors import Fatal, Unfit
from streams.harness.kafka import KafkaSettings, cluster_id, explain
from streams.harness.readiness import Readiness

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith(PREFIX)]:
        monkeypatch.delenv(name)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The topics that the broker was asked for."""
    told: list[list[str]] = []
    monkeypatch.setattr(preflight, "check", lambda _, names: told.append(names))
    return told


def settings(tmp_path: Path, **more: Any) -> Settings:
    return Settings(**{"data_dir": tmp_path / "var", "config_dir": ROOT / "config", "api_port": 0, "store_port": 0} | more)


def test_everything_is_looked_at_and_the_broker_once(tmp_path: Path, asked: list[list[str]]) -> None:
    preflight.everything(settings(tmp_path))
    assert len(asked) == 1
    assert {topics.SIGNALS.name, topics.DLQ.name} <= set(asked[0])
    assert topics.RAW_METRICS.name not in asked[0]  # a deployment may have others


@pytest.mark.parametrize(
    ("topics_of", "says"),
    [
        ({"metrics_topics": ("raw",), "alerts_topics": ("raw",)}, "raw is named in both AIRRA_METRICS_TOPICS and AIRRA_ALERTS_TOPICS"),
        ({"metrics_topics": (), "alerts_topics": (), "changes_topics": ()}, "no raw topic is named"),
    ],
)
def test_raw_topics_that_cannot_be_read_are_told_before_anything_starts(
    topics_of: dict[str, Any], says: str, tmp_path: Path, asked: list[list[str]]
) -> None:
    with pytest.raises(Unfit, match=says):  # exit 2: nobody starts it again
        preflight.everything(settings(tmp_path, **topics_of))
    assert asked == []


@pytest.mark.parametrize("name", preflight.FILES)
def test_a_mistake_in_any_file_is_told_before_anything_starts(name: str, tmp_path: Path, asked: list[list[str]]) -> None:
    config = shutil.copytree(ROOT / "config", tmp_path / "config")
    (config / f"{name}.yaml").write_text("nonsense: 1\n")
    with pytest.raises(ConfigError, match=rf"{name}\.yaml: .*nonsense"):
        preflight.everything(settings(tmp_path, config_dir=config))
    assert asked == []


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"config_dir": Path("/nowhere")}, "/nowhere"),
        ({"executor": "http"}, "needs AIRRA_EXECUTOR_URL"),
        ({"api_tokens": "alice"}, "AIRRA_API_TOKENS: operator 1"),
        ({"api_host": "0.0.0.0"}, "AIRRA_API_HOST=0.0.0.0 without AIRRA_API_TOKENS"),
        ({"data_dir": Path("/proc/x")}, "AIRRA_DATA_DIR=/proc/x: No such file"),
    ],
)
def test_a_wrong_setting_is_told_before_anything_starts(given: dict[str, Any], says: str, tmp_path: Path, asked: list[list[str]]) -> None:
    with pytest.raises(ConfigError) as refused:
        preflight.everything(settings(tmp_path, **given))
    assert says in str(refused.value)
    assert asked == []


@pytest.mark.parametrize("name", ["api_port", "store_port"])
def test_a_port_that_is_taken_is_told_before_anything_starts(name: str, tmp_path: Path, asked: list[list[str]]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=rf"AIRRA_{name.upper()}={port} .*Address already in use"):
            preflight.everything(settings(tmp_path, **{name: port}))
    assert asked == []


def test_only_the_api_needs_operators_and_only_beyond_this_machine(tmp_path: Path) -> None:
    open_to_all = settings(tmp_path, api_host="0.0.0.0")
    with pytest.raises(ConfigError, match="anybody on the network"):
        preflight.role("api", open_to_all)
    preflight.role("detect", open_to_all)
    preflight.role("api", open_to_all.model_copy(update={"api_host": "::1"}))
    preflight.role("api", settings(tmp_path, api_host="0.0.0.0", api_tokens="alice:secret"))


def test_the_observe_port_in_use_is_a_wrong_configuration(tmp_path: Path) -> None:
    first = ObserveServer("127.0.0.1", 0, Readiness().report)
    try:
        with pytest.raises(ConfigError, match=rf"AIRRA_OBSERVE_PORT={first.port} on 127.0.0.1: Address already in use; choose another"):
            run._observed(settings(tmp_path, observe_port=first.port), Readiness())
    finally:
        first._server.server_close()


def test_what_was_started_is_told_once_every_role_has_its_addresses(tmp_path: Path) -> None:
    one = settings(tmp_path)
    for role in ROLES:
        runfile.write(one.data_dir, role, "0", observe_port=9100)
    supervisor: Any = SimpleNamespace(pid=lambda _: os.getpid())
    told = run._started(supervisor, one, threading.Event())
    assert told is not None
    assert json.loads(json.dumps(told))["roles"]["api"] == {"pid": os.getpid(), "observe_port": 9100}
    assert set(told["roles"]) == set(ROLES)


def test_files_of_an_earlier_run_and_a_stop_tell_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = settings(tmp_path)
    for role in ROLES:
        runfile.write(one.data_dir, role, "0", observe_port=9100)
    supervisor: Any = SimpleNamespace(pid=lambda _: os.getpid() + 1)
    monkeypatch.setattr(run, "ADDRESSES_WITHIN_S", 0.2)
    told = run._started(supervisor, one, threading.Event())
    assert told is not None
    assert set(told["roles"].values()) == {None}
    stopping = threading.Event()
    stopping.set()
    assert run._started(supervisor, one, stopping) is None


def test_a_connection_that_cannot_be_configured_is_explained() -> None:
    with pytest.raises(Fatal, match=r"do not go together.*sasl\.username.*AIRRA_KAFKA_\*"):
        cluster_id(KafkaSettings("127.0.0.1:9", security_protocol="SASL_PLAINTEXT"))
    assert "no Kafka at" in explain(KafkaSettings("x:1"), [KafkaError(KafkaError._TRANSPORT)])
