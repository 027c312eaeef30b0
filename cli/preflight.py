"""What must hold before a process of ours starts: found here it is one line and exit 2, found later a trace or a restart for ever."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import socket
from pathlib import Path

from cli.config import ConfigError
from cli.wiring import configuration
from schemas import topics
from schemas.settings import Settings
from streams.harness.kafka import KafkaSettings, check
from streams.normalise.sources import Sources

FILES = ("detect", "metrics", "formats", "correlate", "runbooks", "policy", "topology")
INPUTS = (topics.RAW_METRICS, topics.RAW_ALERTS, topics.RAW_CHANGES, topics.WRITE)  # of the catalogue, but a deployment may name others


def role(name: str, settings: Settings) -> None:
    """Check what this role takes from the settings and its builder does not look at; raise ConfigError."""
    folder(settings.data_dir, "AIRRA_DATA_DIR")
    if name == "api":
        _operators(settings)


def everything(settings: Settings) -> None:
    """Check what the roles of this machine will need, before any starts; raise ConfigError, Unfit for raw topics, Fatal for the broker."""
    folder(settings.data_dir, "AIRRA_DATA_DIR")
    for name in FILES:
        configuration(settings, name)
    Sources(settings.sample_topics, settings.alerts_topics, settings.changes_topics)
    if settings.executor == "http" and not settings.executor_url:
        raise ConfigError("AIRRA_EXECUTOR=http needs AIRRA_EXECUTOR_URL: the address of the control API")
    _operators(settings)
    port(settings.api_host, settings.api_port, "AIRRA_API_PORT")
    if not settings.store_url:
        port("127.0.0.1", settings.store_port, "AIRRA_STORE_PORT")
    check(KafkaSettings.of(settings), [spec.name for spec in topics.CATALOGUE if spec not in INPUTS])


def folder(path: Path, setting: str) -> None:
    """Make the folder and see that it can be written to."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"{setting}={path}: {error.strerror or error}; name a folder that can be made") from error
    if not os.access(path, os.W_OK | os.X_OK):
        raise ConfigError(f"{setting}={path}: cannot be written to; name another folder")


def port(host: str, number: int, setting: str) -> None:
    """See that the port can be listened on now; 0 always can."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with contextlib.closing(socket.socket(family)) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, number))
        except socket.gaierror as error:
            raise ConfigError(f"{setting.removesuffix('_PORT')}_HOST={host}: {error.strerror}; name an address of this machine") from error
        except OSError as error:
            raise ConfigError(f"{setting}={number} on {host}: {error.strerror or error}; choose another (0: a free one)") from error


def _operators(settings: Settings) -> None:
    from api.server import operators

    try:
        known = operators(settings.api_tokens.get_secret_value())
    except ValueError as error:
        raise ConfigError(f"AIRRA_API_TOKENS: {error}") from error
    try:
        operators(settings.write_tokens.get_secret_value(), "source")
    except ValueError as error:
        raise ConfigError(f"AIRRA_WRITE_TOKENS: {error}") from error
    if not known and not _local(settings.api_host):
        raise ConfigError(
            f"AIRRA_API_HOST={settings.api_host} without AIRRA_API_TOKENS: anybody on the network could read everything; "
            "set subject:token pairs, or listen on 127.0.0.1"
        )


def _local(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
