"""The sandbox as whoever starts it sees it: its lines, what it publishes, its control plane, and nothing left when it ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import psutil
import pytest
import yaml
from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

from sandbox import kafka
from sandbox.__main__ import main
from schemas.topics import RAW_ALERTS, RAW_CHANGES, RAW_METRICS
from streams.harness.embedded import EmbeddedBroker

TOKEN = "of-this-test"
SMALL = {
    "name": "small",
    "load": {"rps": 30},
    "labels": {"service": "app", "instance": "pod"},
    "services": [
        {"name": "front", "entry": True, "calls": [{"to": "back"}]},
        {"name": "back", "release": "1.0.0", "database": {"pool": 4}, "cache": {}, "metric_names": {"errors": "app_failures"}},
    ],
    "faults": [{"name": "bad", "kind": "errors", "service": "back", "after_s": 0, "params": {"ratio": 0.5}}],
}


class Running:
    """`python -m sandbox run`, read line by line."""

    def __init__(self, broker: str, work: Path, *arguments: str) -> None:
        scenario = work / "small.yaml"
        scenario.write_text(yaml.safe_dump(SMALL))
        command = [sys.executable, "-m", "sandbox", "run", "--scenario", str(scenario), "--broker", broker, "--work-dir", str(work / "w")]
        self.process = subprocess.Popen(
            [*command, "--token-env", "SMALL_TOKEN", "--test-hooks", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "SMALL_TOKEN": TOKEN},
        )
        self.ready = self.until("ready")
        self.children = psutil.Process(self.process.pid).children(recursive=True)
        self.url = self.ready["control_url"]

    def until(self, event: str) -> dict[str, Any]:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            message: dict[str, Any] = json.loads(line)
            if message["event"] == event:
                return message
        raise AssertionError(f"ended before {event!r}")

    def call(self, method: str, path: str, body: object = None, **headers: str) -> httpx2.Response:
        named = {"Authorization": f"Bearer {TOKEN}", **{name.replace("_", "-"): value for name, value in headers.items()}}
        return httpx2.request(method, self.url + path, json=body, headers=named, timeout=20)

    def act(self, key: str, action: str, params: dict[str, Any], token: int = 1) -> httpx2.Response:
        body = {"action": action, "service": "back", "params": params}
        return self.call("POST", "/actions", body, Idempotency_Key=key, Fencing_Token=str(token))

    def left_over(self) -> list[psutil.Process]:
        """Return the children that still run, after a moment."""
        _, alive = psutil.wait_procs(self.children, timeout=5)
        return alive


@pytest.fixture
def start(fresh_embedded: EmbeddedBroker, topics: Callable[..., Any], tmp_path: Path) -> Iterator[Callable[..., Running]]:
    topics(fresh_embedded.bootstrap).create(RAW_METRICS, RAW_ALERTS, RAW_CHANGES)
    started: list[Running] = []

    def begin(*arguments: str) -> Running:
        started.append(Running(fresh_embedded.bootstrap, tmp_path, *arguments))
        return started[-1]

    yield begin
    for running in started:
        running.process.kill()
        running.process.wait()
        for child in running.children:
            if child.is_running():
                child.kill()


@pytest.fixture
def published(fresh_embedded: EmbeddedBroker) -> Iterator[Callable[[str, Callable[[list[Any]], bool]], list[Any]]]:
    """Read a topic from its beginning until what was read is enough."""
    consumers: list[Consumer] = []

    def read(topic: str, enough: Callable[[list[Any]], bool]) -> list[Any]:
        settings = {"bootstrap.servers": fresh_embedded.bootstrap, "group.id": "unused", "fetch.wait.max.ms": 100}
        consumer = Consumer(settings)
        consumers.append(consumer)
        there = consumer.list_topics(topic, timeout=10).topics[topic].partitions
        consumer.assign([TopicPartition(topic, partition, OFFSET_BEGINNING) for partition in there])
        read: list[Any] = []
        deadline = time.monotonic() + 30
        while not enough(read):
            assert time.monotonic() < deadline, f"{topic}: not enough in {len(read)} messages"
            read += [json.loads(message.value()) for message in consumer.consume(500, 0.5) if not message.error()]
        return read

    yield read
    for consumer in consumers:
        consumer.close()


def test_a_run_breaks_is_repaired_and_ends_without_a_trace(start: Callable[..., Running], published: Callable[..., list[Any]]) -> None:
    running = start("--fault", "bad", "--warm-up-s", "4")
    assert running.until("warm_up")["seconds_left"] <= 4
    assert running.call("GET", "/services/back").json()["release"] == "1.0.0"
    injected = running.until("fault_injected")
    assert (injected["fault"], injected["kind"], injected["service"]) == ("bad", "errors", "back")
    assert abs(injected["at"] / 1000 - time.time()) < 5
    view = running.call("GET", "/services/back").json()
    assert (view["release"], view["previous_release"], view["incarnation"], view["up"]) == ("1.0.1", "1.0.0", 2, True)

    def failures(metrics: list[Any]) -> float:
        of_back = [one for one in metrics if one["name"] == "app_failures" and one["labels"]["app"] == "back"]
        return float(of_back[-1]["value"]) if of_back else 0.0

    metrics = published("metrics", lambda read: failures(read) > 20 and len({one["labels"]["app"] for one in read}) == 2)
    assert {"up", "http_requests_total", "http_request_duration_seconds_bucket", "db_pool_in_use_ratio", "cache_hit_ratio"} <= {
        one["name"] for one in metrics
    }
    assert {one["labels"]["app"] for one in metrics} == {"front", "back"}
    alerts = published("alerts", bool)
    assert alerts[0]["groupLabels"] == {"alertname": "HighErrorRatio"}

    back = running.act("r1", "rollback", {"to": "1.0.0"})
    assert (back.status_code, back.json()["before"]["release"], back.json()["after"]["release"]) == (200, "1.0.1", "1.0.0")
    assert running.act("r1", "rollback", {"to": "1.0.0"}, token=2).json() == back.json()
    assert running.act("r2", "restart", {}, token=1).status_code == 409
    assert running.call("GET", "/actions/r2").json()["status"] == "not_done"
    assert [effect["key"] for effect in running.call("GET", "/log").json()["effects"]] == ["r1"]
    assert httpx2.get(running.url + "/log").status_code == 401
    changes = published("changes", lambda read: len(read) >= 2)
    assert [(one["type"], one["service"], one["before"], one["after"], one["by"]) for one in changes] == [
        ("deploy", "back", "1.0.0", "1.0.1", "ci"),
        ("deploy", "back", "1.0.1", "1.0.0", "control-plane"),
    ]

    running.process.send_signal(signal.SIGTERM)
    assert 0 < running.until("stopped")["cpu_cores_mean"] < 1.0
    assert running.process.wait(10) == 0
    assert running.left_over() == []
    written = [path.read_text(errors="replace") for path in Path(running.ready["log"]).parent.rglob("*") if path.is_file()]
    assert not [text for text in written if TOKEN in text]


def test_an_action_survives_its_caller_and_a_restart_is_another_process(start: Callable[..., Running]) -> None:
    running = start()
    before = {child.pid for child in running.children}
    assert running.call("POST", "/test/delay", {"seconds": 3, "where": "before"}).status_code == 200
    with pytest.raises(httpx2.TimeoutException):
        httpx2.post(
            running.url + "/actions",
            json={"action": "restart", "service": "back", "params": {}},
            headers={"Authorization": f"Bearer {TOKEN}", "Idempotency-Key": "k", "Fencing-Token": "1"},
            timeout=0.5,
        )
    assert running.call("GET", "/actions/k").json()["status"] == "in_progress"
    done = running.act("k", "restart", {})
    assert (done.status_code, done.json()["before"]["incarnation"], done.json()["after"]["incarnation"]) == (200, 1, 2)
    after = {child.pid for child in psutil.Process(running.process.pid).children(recursive=True)}
    assert len(after - before) == 1
    assert len(before - after) == 1
    assert len(running.call("GET", "/log").json()["effects"]) == 1


def test_nothing_outlives_a_killed_sandbox(start: Callable[..., Running]) -> None:
    running = start()
    assert len(running.children) == 3
    running.process.kill()
    assert running.left_over() == []


def test_it_ends_when_its_standard_input_is_closed(start: Callable[..., Running]) -> None:
    running = start()
    assert running.process.stdin is not None
    running.process.stdin.close()
    assert running.process.wait(10) == 0
    assert running.left_over() == []


def test_a_missing_topic_is_named_before_anything_starts(fresh_embedded: EmbeddedBroker, tmp_path: Path) -> None:
    scenario = tmp_path / "small.yaml"
    scenario.write_text(yaml.safe_dump(SMALL))
    command = [sys.executable, "-m", "sandbox", "run", "--scenario", str(scenario), "--work-dir", str(tmp_path)]
    answer = subprocess.run([*command, "--broker", fresh_embedded.bootstrap], capture_output=True, text=True, check=False, timeout=30)
    assert answer.returncode == 1
    assert "has no topic metrics, alerts, changes" in answer.stderr
    assert "ready" not in answer.stdout


def test_a_broker_that_is_not_there_is_a_clear_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(kafka, "REACH_S", 1.0)
    scenario = tmp_path / "small.yaml"
    scenario.write_text(yaml.safe_dump(SMALL))
    assert main(["run", "--scenario", str(scenario), "--work-dir", str(tmp_path), "--broker", "127.0.0.1:9"]) == 1
    captured = capsys.readouterr()
    assert captured.err.startswith("sandbox: no Kafka broker answers at 127.0.0.1:9")
    assert "ready" not in captured.out
