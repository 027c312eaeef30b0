"""The one settings model: `AIRRA_*` variables or a TOML file. Only composition roots (cli/) build it."""

from __future__ import annotations

import difflib
import os
import re
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

from schemas.base import countable
from schemas.topics import WRITE

PREFIX = "AIRRA_"
TOPIC = re.compile(r"[A-Za-z0-9._-]{1,249}")
LAST_PORT = 65_535


def _split(value: object) -> object:
    """Read `a,b` as two names, as people write lists in variables."""
    return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


def _parsed(url: str) -> SplitResult:
    """Refuse what is no address of an HTTP server, without repeating it: what stands in a wrong place may be a password."""
    try:
        split = urlsplit(url)
        _ = split.port
    except ValueError:
        raise ValueError("no address: its host or port cannot be read") from None
    if url and (split.scheme not in {"http", "https"} or not split.hostname):
        raise ValueError("must look like http(s)://host:port")
    return split


def _address(url: str) -> str:
    """Refuse a login, too: it would be shown wherever settings are."""
    split = _parsed(url)
    if split.username is not None or split.password is not None:
        raise ValueError("holds a login: leave it out; tokens have settings of their own, where they are masked")
    return url


def _secret_address(url: SecretStr) -> SecretStr:
    _parsed(url.get_secret_value())
    return url


def _bearable(secret: SecretStr) -> SecretStr:
    """Refuse what no HTTP header can carry, without repeating it."""
    value = secret.get_secret_value()
    if not (value.isascii() and value.isprintable()):
        raise ValueError("holds characters beyond printable ASCII, which no HTTP header can carry")
    return secret


def _topics(names: tuple[str, ...]) -> tuple[str, ...]:
    for name in names:
        if not TOPIC.fullmatch(name) or name in {".", ".."}:
            raise ValueError(f"{name[:64]!r} is no name of a Kafka topic: letters, digits, '.', '_' and '-', at most 249")
    return names


def _brokers(text: str) -> str:
    for one in text.split(","):
        host, colon, port = one.strip().rpartition(":")
        if not (host if colon else port) or (colon and not (port.isdigit() and int(port) <= LAST_PORT)):
            raise ValueError(f"{one.strip()[:64]!r} is not host:port")
    return text


def _store_address(url: str) -> str:
    """Refuse what is no address of a ClickHouse server; the value may hold a password and is not repeated."""
    split = urlsplit(url)
    if url and (split.scheme not in {"http", "https"} or not split.hostname):
        raise ValueError("must look like http(s)://user@host:port/database; leave it empty for the embedded store")
    if split.password is not None:
        raise ValueError("holds a password: put it into AIRRA_STORE_PASSWORD, where it is masked")
    _ = split.port  # a ValueError where it is none
    return url


Topics = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split), AfterValidator(_topics)]
Brokers = Annotated[str, AfterValidator(_brokers)]
Url = Annotated[str, AfterValidator(_address)]
SecretUrl = Annotated[SecretStr, AfterValidator(_secret_address)]
Token = Annotated[SecretStr, AfterValidator(_bearable)]
StoreUrl = Annotated[str, AfterValidator(_store_address)]


class Settings(BaseSettings):
    """Every setting, with its unit in the name and its meaning beside it; a misspelt `AIRRA_*` name is an error."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="forbid", frozen=True)

    # Kafka
    kafka_bootstrap: Brokers = Field("127.0.0.1:9092", description="host:port, comma-separated")
    kafka_security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field("PLAINTEXT", description="Kafka's names")
    kafka_sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = Field("PLAIN", description="used with the SASL protocols")
    kafka_sasl_username: str = Field("", description="used with the SASL protocols")
    kafka_sasl_password: SecretStr = Field(SecretStr(""), description="used with the SASL protocols")
    kafka_ssl_cafile: Path | None = Field(None, description="certificate authority of the brokers")
    kafka_replication: int = Field(1, ge=1, description="of topics that AIRRA creates; production: 3")
    metrics_topics: Topics = Field(("metrics",), description="topics of metrics, in any format; formats.yaml may name it")
    alerts_topics: Topics = Field(("alerts",), description="topics of Alertmanager webhooks")
    changes_topics: Topics = Field(("changes",), description="topics of change events")

    registry_url: SecretUrl = Field(SecretStr(""), description="schema registry of the Confluent format; may hold a login; shown masked")

    # configuration files; each is validated and known by its digest
    config_dir: Path = Field(Path("config"), description="folder of the files below")
    detect_file: Path | None = Field(None, description="default: detect.yaml in the folder")
    metrics_file: Path | None = Field(None, description="default: metrics.yaml in the folder")
    formats_file: Path | None = Field(None, description="default: formats.yaml in the folder, if there is one")
    correlate_file: Path | None = Field(None, description="default: correlate.yaml in the folder")
    runbooks_file: Path | None = Field(None, description="default: runbooks.yaml in the folder")
    policy_file: Path | None = Field(None, description="default: policy.yaml in the folder")
    topology_file: Path | None = Field(None, description="default: topology.yaml in the folder")

    # decisions
    anomaly_threshold_sigma: float = Field(3.0, gt=0, description="robust standard deviations at which a series is anomalous")
    confidence_threshold_high: float = Field(0.8, ge=0, le=1, description="below it an automatic policy asks a human")
    dry_run_mode: bool = Field(True, description="true: nothing is ever done to a target, whatever was approved")

    # acting
    executor: Literal["none", "http"] = Field("none", description="http: the control API of the sandbox, or one of the same contract")
    executor_url: Url = Field("", description="base address of the control API")
    executor_token: Token = Field(SecretStr(""), description="bearer token of the control API")
    executor_timeout_s: float = Field(20.0, gt=0, description="for one call to the target")

    # people
    api_host: str = Field("127.0.0.1", description="the API listens here; beyond this machine put TLS before it")
    api_port: int = Field(8080, ge=0, le=65535, description="0: a free one, printed")
    api_tokens: SecretStr = Field(SecretStr(""), description="operators: subject:token pairs, comma-separated")
    write_tokens: SecretStr = Field(SecretStr(""), description="sources of remote_write: source:token pairs; empty: nobody may write")
    write_quota: float = Field(0.0, ge=0, description="samples a second that one source may write; 0: as many as it likes")
    api_url: Url = Field("", description="where the command line finds the API; empty: the one that runs on this machine")
    token: Token = Field(SecretStr(""), description="your own operator token, for the command line")
    webhook_url: SecretUrl = Field(SecretStr(""), description="notices are posted here as JSON; empty: nowhere; shown masked")
    webhook_timeout_s: float = Field(5.0, gt=0, description="for one post")

    # LLM: explains and orders beside the path; off without a key
    llm_provider: Literal["anthropic", "openai"] = Field("anthropic", description="whose SDK")
    llm_model: str = Field("", description="empty: the provider's default of this version")
    llm_api_key: Token = Field(SecretStr(""), description="empty: the LLM is off")
    llm_base_url: Url = Field("", description="empty: the provider's own address")
    llm_timeout_s: float = Field(20.0, gt=0, description="for one answer; then the record says failed")

    # store
    store_url: StoreUrl = Field("", description="ClickHouse server, http(s)://user@host:port/database; empty: the embedded one")
    store_password: SecretStr = Field(SecretStr(""), description="of the ClickHouse server")
    store_port: int = Field(8123, ge=0, le=65535, description="the embedded store answers read-only queries here; 0: a free one")

    # processes
    data_dir: Path = Field(Path("var"), description="what this machine keeps: the embedded store, run files")
    instance: str = Field("0", description="names this process within its role: static membership needs it to be stable and unique")
    observe_host: str = Field("127.0.0.1", description="/health and /metrics of a worker listen here")
    observe_port: int = Field(0, ge=0, le=65535, description="/health and /metrics of a worker; 0: a free one, logged")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="of the JSON logs on stderr")

    @field_validator("*")
    @classmethod
    def _countable(cls, value: Any) -> Any:
        return countable(value)

    @model_validator(mode="before")
    @classmethod
    def _refuse_misspelt(cls, values: Any) -> Any:
        """Name the nearest setting for an `AIRRA_*` variable that is none: pydantic alone would pass over it in silence."""
        known = {f"{PREFIX}{name}".upper() for name in cls.model_fields} | RESERVED
        for name in sorted(os.environ):
            if name.upper().startswith(PREFIX) and name.upper() not in known:
                near = difflib.get_close_matches(name.upper(), known, n=1)
                raise ValueError(f"{name} is not a setting" + (f"; did you mean {near[0]}?" if near else "; `airra doctor` lists them"))
        return values

    @model_validator(mode="after")
    def _complete_login(self) -> Self:
        """Refuse a SASL protocol without a login: the client library says so only with a trace."""
        if self.kafka_security_protocol.startswith("SASL") and not (
            self.kafka_sasl_username and self.kafka_sasl_password.get_secret_value()
        ):
            told = f"{PREFIX}KAFKA_SECURITY_PROTOCOL={self.kafka_security_protocol}"
            raise ValueError(f"{told} needs {PREFIX}KAFKA_SASL_USERNAME and {PREFIX}KAFKA_SASL_PASSWORD")
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take arguments first, then variables, then the TOML file that AIRRA_SETTINGS names."""
        del dotenv_settings, file_secret_settings
        sources: list[PydanticBaseSettingsSource] = [init_settings, env_settings]
        if path := os.environ.get("AIRRA_SETTINGS"):
            sources.append(TomlConfigSettingsSource(settings_cls, toml_file=Path(path)))
        return tuple(sources)

    @property
    def sample_topics(self) -> tuple[str, ...]:
        """Every topic that samples come from: those that are named, and what the API takes by remote_write."""
        return (*self.metrics_topics, WRITE.name) if self.write_tokens.get_secret_value() else self.metrics_topics

    @property
    def writers(self) -> tuple[str, ...]:
        """Who may write by remote_write."""
        pairs = self.write_tokens.get_secret_value().split(",")
        return tuple(source for pair in pairs if (source := pair.partition(":")[0].strip()))

    def file(self, name: str) -> Path:
        """Return where the configuration file of this name is: its own setting, or its place in the folder."""
        return getattr(self, f"{name}_file") or self.config_dir / f"{name}.yaml"


# Variables that are not settings of the product: the file that holds settings, and what only tests and make targets read.
RESERVED = frozenset({"AIRRA_SETTINGS", "AIRRA_REQUIRE_KAFKA", "AIRRA_TEST_BROKER"})
