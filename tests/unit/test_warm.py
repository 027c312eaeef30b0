"""The set-up compiles all that is compiled at its first use."""

import importlib
from pathlib import Path
from types import ModuleType

import pytest

from cli import warm

# What is called from Python; what else is compiled is called by these.
ENTRIES = (
    "judge",
    "advance",
    "shelve_all",
    "choose",
    "describe",
    "readings",
    "distances",
    "joint.kernel.learn",
    "pack",
    "_walk",
    "_find",
    "_add",
)
ROOT = Path(warm.__file__).parents[1]


def modules() -> list[ModuleType]:
    """Return those with functions that are compiled at their first use."""
    files = [path for folder in ("models", "streams") for path in (ROOT / folder).rglob("*.py") if "\n@compiled" in path.read_text()]
    return [importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts)) for path in files]


def test_a_role_that_begins_has_nothing_left_to_compile() -> None:
    found = modules()
    assert len(found) > 5
    warm.main()
    called = {
        f"{module.__name__}.{name}": bool(value.signatures)
        for module in found
        for name, value in vars(module).items()
        if getattr(value, "signatures", None) is not None
    }
    assert not {name for name in ENTRIES if not any(entry.endswith(f".{name}") for entry in called)}
    entries = [name for name in called if any(name.endswith(f".{entry}") for entry in ENTRIES)]
    assert [name for name in entries if not called[name]] == []


def test_a_record_that_is_refused_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(warm, "otlp", lambda _: b"\xff\xff")
    with pytest.raises(RuntimeError, match="otlp"):
        warm.main()
