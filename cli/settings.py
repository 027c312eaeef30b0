"""Build the settings once, with errors that name the variable."""

from __future__ import annotations

import os
import ssl
import tomllib
from pathlib import Path
from typing import Any

from pydantic import SecretStr, ValidationError

from cli.config import ConfigError
from schemas.settings import PREFIX, Settings


def read_settings(**overrides: Any) -> Settings:
    """Read arguments, then `AIRRA_*` variables, then the TOML file that AIRRA_SETTINGS names; raise ConfigError."""
    path = os.environ.get("AIRRA_SETTINGS")
    if path and not Path(path).is_file():
        raise ConfigError(f"AIRRA_SETTINGS={path}: no such file")
    try:
        return _with_authority(Settings(**overrides))
    except ValidationError as error:
        raise ConfigError("\n".join(_problem(item) for item in error.errors(include_url=False))) from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: not TOML: {error}") from error


def _problem(item: Any) -> str:
    if not item["loc"]:
        return str(item["msg"]).removeprefix("Value error, ")
    name = str(item["loc"][0])
    if item["type"] == "extra_forbidden":
        return f"{name} is not a setting; `airra doctor` lists them"
    return f"{PREFIX}{name.upper()}: {str(item['msg']).removeprefix('Value error, ')}"


def _with_authority(settings: Settings) -> Settings:
    """Read the certificate authority once: a client library that cannot says so only with a trace."""
    file = settings.kafka_ssl_cafile
    if file is not None and settings.kafka_security_protocol.endswith("SSL"):
        try:
            ssl.create_default_context(cafile=str(file))
        except OSError as error:  # ssl.SSLError is one
            raise ConfigError(f"{PREFIX}KAFKA_SSL_CAFILE={file}: {error.strerror or error}; name a PEM file of certificates") from error
    return settings


def described(settings: Settings) -> list[dict[str, str]]:
    """List every setting with its value (secrets masked) and where it came from."""
    result = []
    for name, field in Settings.model_fields.items():
        value = getattr(settings, name)
        variable = f"{PREFIX}{name}".upper()
        origin = "environment" if variable in os.environ else "file" if name in settings.model_fields_set else "default"
        shown = ("********" if value.get_secret_value() else "") if isinstance(value, SecretStr) else str(value)
        result.append({"setting": variable, "value": shown, "from": origin, "meaning": field.description or ""})
    return result
