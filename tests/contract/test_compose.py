"""docker-compose.yml against the Compose specification and the settings model; it is validated here, not run."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from cli.roles import ROLES
from schemas.settings import PREFIX, Settings

ROOT = Path(__file__).resolve().parents[2]
COMPOSE = ROOT / "docker-compose.yml"


def services() -> dict[str, Any]:
    return yaml.safe_load(COMPOSE.read_text())["services"]


def check(path: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(path)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_it_follows_the_compose_specification() -> None:
    answer = check(COMPOSE)
    assert answer.returncode == 0, answer.stdout


def test_the_check_sees_a_mistake(tmp_path: Path) -> None:
    broken = tmp_path / "docker-compose.yml"
    broken.write_text(COMPOSE.read_text().replace("restart: unless-stopped", "restarts: unless-stopped", 1))
    assert check(broken).returncode != 0


def test_every_role_is_there() -> None:
    assert {"kafka", "clickhouse", *ROLES} <= set(services())


@pytest.mark.parametrize("service", [name for name in services() if name not in ("kafka", "clickhouse")])
def test_every_variable_is_a_setting(service: str) -> None:
    known = {f"{PREFIX}{name}".upper() for name in Settings.model_fields}
    given = services()[service].get("environment", {})
    assert set(given) <= known, sorted(set(given) - known)


def test_the_commands_exist() -> None:
    for name, service in services().items():
        if name in ROLES:
            assert service["command"] in (["worker", name], [name])


def test_nothing_secret_is_written_down() -> None:
    text = COMPOSE.read_text()
    for name in ("AIRRA_STORE_PASSWORD", "AIRRA_API_TOKENS"):
        assert f"{name}: ${{{name}:?" in text
