"""The shape of the project, as tests: import directions, who reads the environment, what models may not touch."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("schemas", "models", "streams", "agents", "api", "cli", "sandbox")

# What each package may import of the project; streams/harness is the one part of streams that agents and api share.
ALLOWED = {
    "schemas": {"schemas"},
    "models": {"schemas", "models"},
    "streams": {"schemas", "models", "streams"},
    "agents": {"schemas", "models", "agents", "streams.harness"},
    "api": {"schemas", "models", "api", "streams.harness", "streams.normalise.formats", "streams.normalise.fates"},  # what remote_write is
    "cli": {"schemas", "models", "streams", "agents", "api", "cli"},
    "sandbox": {"sandbox"},
}


def files(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def imports(path: Path) -> Iterator[str]:
    package = path.relative_to(ROOT).parts[:-1]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield ".".join((*package[: len(package) - node.level + 1], node.module or "")) if node.level else (node.module or "")


def allowed(name: str, package: str) -> bool:
    if name.split(".", maxsplit=1)[0] not in PACKAGES:
        return True
    return any(name == root or name.startswith(f"{root}.") for root in ALLOWED[package])


@pytest.mark.parametrize("package", PACKAGES)
def test_imports_point_one_way(package: str) -> None:
    wrong = [f"{path.relative_to(ROOT)} imports {name}" for path in files(package) for name in imports(path) if not allowed(name, package)]
    assert wrong == []


def test_the_import_rule_sees_a_wrong_import() -> None:
    assert not allowed("streams.detect", "agents")
    assert not allowed("agents.execute", "models")
    assert allowed("streams.harness.stage", "agents")


def test_an_executor_never_imports_the_llm() -> None:
    wrong = [
        path
        for path in files("agents")
        if "execut" in str(path)
        for name in imports(path)
        if "llm" in name or name in ("anthropic", "openai")
    ]
    assert wrong == []


ENVIRONMENT = {("os", "environ"), ("os", "getenv")}


def environment_reads(path: Path) -> list[int]:
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if (isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and (node.value.id, node.attr) in ENVIRONMENT) or (
            isinstance(node, ast.ImportFrom) and node.module == "os" and {alias.name for alias in node.names} & {"environ", "getenv"}
        ):
            found.append(node.lineno)
    return found


def test_only_composition_roots_read_the_environment() -> None:
    # The settings model is read by cli/ alone, and it is where the reading itself stands; the sandbox is a system of its own.
    exempt = {ROOT / "schemas" / "settings.py"}
    wrong = [
        f"{path.relative_to(ROOT)}:{line}"
        for package in ("schemas", "models", "streams", "agents", "api")
        for path in files(package)
        if path not in exempt
        for line in environment_reads(path)
    ]
    assert wrong == []
    builders = [path for package in ("models", "streams", "agents", "api") for path in files(package) if "Settings()" in path.read_text()]
    assert builders == []


def test_the_environment_rule_sees_a_reader(tmp_path: Path) -> None:
    file = tmp_path / "reader.py"
    file.write_text("import os\nprint(os.environ['X'])\n")
    assert environment_reads(file) == [2]


def test_models_are_pure() -> None:
    """No I/O, no clock, no Kafka, no unseeded randomness in the decisions."""
    banned = {
        "os",
        "time",
        "random",
        "socket",
        "subprocess",
        "requests",
        "httpx2",
        "aiokafka",
        "confluent_kafka",
        "faust",
        "asyncio",
        "threading",
    }
    wrong = [
        f"{path.relative_to(ROOT)} imports {name}" for path in files("models") for name in imports(path) if name.split(".")[0] in banned
    ]
    assert wrong == []
