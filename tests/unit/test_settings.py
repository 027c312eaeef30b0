"""The settings model, its example file, and what a mistake says."""

from pathlib import Path

import pytest

from cli.config import ConfigError, validate
from cli.reference import env_example
from cli.settings import described, read_settings
from schemas.base import Strict
from schemas.settings import PREFIX, Settings

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    for name in list(os.environ):
        if name.startswith(PREFIX):
            monkeypatch.delenv(name)


def test_the_example_file_is_what_the_model_says() -> None:
    assert (ROOT / ".env.example").read_text() == env_example()


def test_every_line_of_the_example_file_is_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    for line in (ROOT / ".env.example").read_text().splitlines():
        name, found, value = line.removeprefix("# ").partition("=")
        if found and name.startswith(PREFIX) and value:
            monkeypatch.setenv(name, value)
    assert read_settings() == Settings()


def test_defaults_of_heritage() -> None:
    settings = read_settings()
    assert settings.anomaly_threshold_sigma == 3.0
    assert settings.confidence_threshold_high == 0.8
    assert settings.dry_run_mode is True
    assert settings.api_host == "127.0.0.1"


def test_a_misspelt_variable_is_named_with_the_nearest_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRRA_KAFKA_BOTSTRAP", "x:1")
    with pytest.raises(ConfigError, match=r"AIRRA_KAFKA_BOTSTRAP is not a setting; did you mean AIRRA_KAFKA_BOOTSTRAP\?"):
        read_settings()


def test_a_wrong_type_names_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRRA_API_PORT", "eighty")
    with pytest.raises(ConfigError, match="AIRRA_API_PORT: Input should be a valid integer"):
        read_settings()


def test_a_toml_file_is_read_and_the_environment_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "airra.toml"
    file.write_text('kafka_bootstrap = "a:1"\nlog_level = "error"\n')
    monkeypatch.setenv("AIRRA_SETTINGS", str(file))
    monkeypatch.setenv("AIRRA_LOG_LEVEL", "debug")
    settings = read_settings()
    assert (settings.kafka_bootstrap, settings.log_level) == ("a:1", "debug")
    origins = {row["setting"]: row["from"] for row in described(settings)}
    assert (origins["AIRRA_KAFKA_BOOTSTRAP"], origins["AIRRA_LOG_LEVEL"], origins["AIRRA_API_PORT"]) == ("file", "environment", "default")


def test_an_unknown_name_in_the_toml_file_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "airra.toml"
    file.write_text('kafka_botstrap = "a:1"\n')
    monkeypatch.setenv("AIRRA_SETTINGS", str(file))
    with pytest.raises(ConfigError, match="kafka_botstrap is not a setting"):
        read_settings()


def test_secrets_are_masked_wherever_settings_are_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRRA_EXECUTOR_TOKEN", "hunter2")
    settings = read_settings()
    assert "hunter2" not in repr(settings)
    assert "hunter2" not in str(described(settings))


def test_the_address_of_a_webhook_is_a_secret_and_a_login_in_any_other_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRRA_WEBHOOK_URL", "https://hooks.example/services/T0/hunter2")
    settings = read_settings()
    assert settings.webhook_url.get_secret_value().endswith("hunter2")
    assert "hunter2" not in repr(settings) + str(described(settings))
    monkeypatch.setenv("AIRRA_WEBHOOK_URL", "https://u:hunter2@hooks.example/")  # masked as a whole, so it may
    assert "hunter2" not in repr(read_settings()) + str(described(read_settings()))
    for name in ("EXECUTOR_URL", "LLM_BASE_URL", "API_URL"):
        monkeypatch.setenv(f"AIRRA_{name}", "http://u:hunter2@h")
        with pytest.raises(ConfigError, match=f"AIRRA_{name}: holds a login") as told:
            read_settings()
        assert "hunter2" not in str(told.value)
        monkeypatch.delenv(f"AIRRA_{name}")


@pytest.mark.parametrize("name", ["EXECUTOR_URL", "LLM_BASE_URL", "API_URL", "WEBHOOK_URL"])
def test_an_address_that_cannot_be_read_is_not_repeated(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"AIRRA_{name}", "https://u:hunter2/x@h")
    with pytest.raises(ConfigError, match=f"AIRRA_{name}: no address") as told:
        read_settings()
    assert "hunter2" not in str(told.value)


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("EXECUTOR_URL", "nonsense", "must look like http"),
        ("EXECUTOR_URL", "http://[::1", "no address"),
        ("LLM_BASE_URL", "http://[::1", "no address"),
        ("API_URL", "http://h:port", "no address"),
        ("WEBHOOK_URL", "ftp://x", "must look like http"),
        ("EXECUTOR_TOKEN", "é€", "no HTTP header can carry"),
        ("TOKEN", "é€", "no HTTP header can carry"),
        ("LLM_API_KEY", "a\nb", "no HTTP header can carry"),
        ("METRICS_TOPICS", "good,a b", "'a b' is no name of a Kafka topic"),
        ("KAFKA_BOOTSTRAP", "", "is not host:port"),
        ("KAFKA_BOOTSTRAP", "a:1,b:x", "'b:x' is not host:port"),
        ("LLM_TIMEOUT_S", "inf", "is no number to count with"),
        ("ANOMALY_THRESHOLD_SIGMA", "nan", "AIRRA_ANOMALY_THRESHOLD_SIGMA: "),
        ("WEBHOOK_TIMEOUT_S", "1e308", "is no number to count with"),
    ],
)
def test_a_value_that_would_fail_later_is_refused_with_its_name(name: str, value: str, says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"AIRRA_{name}", value)
    with pytest.raises(ConfigError) as told:
        read_settings()
    assert str(told.value).startswith(f"AIRRA_{name}: ")
    assert says in str(told.value)


@pytest.mark.parametrize("value", ["kafka", "kafka:9092", "a:1, b:2", "[::1]:9092", "SASL_SSL://k:9092"])
def test_brokers_are_named_as_the_clients_take_them(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRRA_KAFKA_BOOTSTRAP", value)
    assert read_settings().kafka_bootstrap == value


class Inner(Strict):
    threshold: float = 1.0


class Outer(Strict):
    parts: tuple[Inner, ...] = ()


def test_a_misspelt_name_in_a_file_is_told_with_its_place() -> None:
    with pytest.raises(ConfigError, match=r"detect\.yaml: parts\.0\.treshold is not known here; did you mean threshold\?"):
        validate(Outer, {"parts": [{"treshold": 2}]}, "detect.yaml")


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"KAFKA_SECURITY_PROTOCOL": "SASL_SSL"}, "SASL_SSL needs AIRRA_KAFKA_SASL_USERNAME and AIRRA_KAFKA_SASL_PASSWORD"),
        ({"KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT", "KAFKA_SASL_USERNAME": "a"}, "SASL_PLAINTEXT needs"),
        ({"KAFKA_SECURITY_PROTOCOL": "SSL", "KAFKA_SSL_CAFILE": "/nonexistent"}, "AIRRA_KAFKA_SSL_CAFILE=/nonexistent: No such file"),
        ({"KAFKA_SECURITY_PROTOCOL": "SSL", "KAFKA_SSL_CAFILE": __file__}, "name a PEM file"),
        ({"STORE_URL": "nonsense"}, "AIRRA_STORE_URL: must look like"),
        ({"STORE_URL": "ftp://host/db"}, "AIRRA_STORE_URL: must look like"),
        ({"STORE_URL": "http://host:eighty/db"}, "AIRRA_STORE_URL: Port could not be cast"),
        ({"STORE_URL": "http://user:secret@host/db"}, "put it into AIRRA_STORE_PASSWORD"),
    ],
)
def test_what_would_end_in_a_trace_is_refused(given: dict[str, str], says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in given.items():
        monkeypatch.setenv(f"AIRRA_{name}", value)
    with pytest.raises(ConfigError) as refused:
        read_settings()
    assert says in str(refused.value)
    assert "secret" not in str(refused.value)


def test_a_complete_login_and_a_store_are_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    import ssl

    file = ssl.get_default_verify_paths().cafile
    given = {"KAFKA_SECURITY_PROTOCOL": "SASL_SSL", "KAFKA_SASL_USERNAME": "a", "KAFKA_SASL_PASSWORD": "b", "STORE_URL": "https://u@h:1/d"}
    for name, value in (given | ({"KAFKA_SSL_CAFILE": file} if file else {})).items():
        monkeypatch.setenv(f"AIRRA_{name}", value)
    assert read_settings().store_url == "https://u@h:1/d"


@pytest.mark.parametrize(
    ("pairs", "writers"), [("", ()), ("prom-a:one", ("prom-a",)), (" prom-a : one , prom-b:two,", ("prom-a", "prom-b"))]
)
def test_who_may_write_is_told_without_the_tokens(pairs: str, writers: tuple[str, ...]) -> None:
    assert Settings(write_tokens=pairs).writers == writers
