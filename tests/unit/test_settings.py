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
