"""Which broker the tests run on: decided only after the jars are really there."""

import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.kafka.broker import Missing

CONFTEST = Path(__file__).resolve().parents[1] / "conftest.py"


@pytest.fixture
def conftest(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    plugin = request.config.pluginmanager.get_plugin(str(CONFTEST))
    for name in ("AIRRA_REQUIRE_KAFKA", "AIRRA_TEST_BROKER"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(plugin, "_lacking", plugin._lacking.__wrapped__)  # without what it remembers
    monkeypatch.setattr(plugin, "missing", lambda: None)  # Java and Maven are there
    return plugin


@pytest.mark.parametrize("error", [Missing("mvn could not fetch Apache Kafka: no network"), subprocess.TimeoutExpired("mvn", 300)])
def test_maven_that_fetches_nothing_means_the_embedded_broker(error: Exception, conftest: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails() -> None:
        raise error

    monkeypatch.setattr(conftest, "fetch_jars", fails)
    assert not conftest._uses_kafka()
    with pytest.raises(pytest.skip.Exception, match="no Apache Kafka here: mvn"):
        conftest._require_kafka()
    monkeypatch.setenv("AIRRA_REQUIRE_KAFKA", "1")
    assert conftest._uses_kafka()
    with pytest.raises(pytest.fail.Exception, match="AIRRA_REQUIRE_KAFKA is set, but mvn"):
        conftest._require_kafka()


def test_jars_that_are_there_mean_apache_kafka(conftest: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conftest, "fetch_jars", lambda: None)
    assert conftest._uses_kafka()
    monkeypatch.setenv("AIRRA_TEST_BROKER", "embedded")
    assert not conftest._uses_kafka()
