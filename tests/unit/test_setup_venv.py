"""The set-up of `.venv` knows its own folder: a copy or a moved one is made anew."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def setup() -> ModuleType:
    spec = importlib.util.spec_from_file_location("setup_venv", ROOT / "deploy" / "setup_venv.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_stamp_of_one_folder_is_not_that_of_another(setup: ModuleType, tmp_path: Path) -> None:
    assert setup.stamp(ROOT) == setup.stamp(ROOT)
    assert setup.stamp(ROOT).splitlines()[0] != setup.stamp(tmp_path).splitlines()[0]


def test_only_a_finished_set_up_in_this_folder_may_be_built_upon(setup: ModuleType, tmp_path: Path) -> None:
    stamp = tmp_path / "airra-setup"
    assert not setup.made_for(ROOT, stamp)
    stamp.write_text("0" * 64)  # as earlier versions wrote it
    assert not setup.made_for(ROOT, stamp)
    stamp.write_text(setup.stamp(tmp_path / "original"))
    assert not setup.made_for(ROOT, stamp)
    stamp.write_text(setup.stamp(ROOT))
    assert setup.made_for(ROOT, stamp)


@pytest.mark.parametrize(("stamped", "cleared"), [("here", False), ("elsewhere", True), (None, True)])
def test_a_copied_environment_is_cleared(
    stamped: str | None, cleared: bool, setup: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".venv").mkdir()
    for name, value in {"ROOT": tmp_path, "VENV": tmp_path / ".venv", "STAMP": tmp_path / ".venv" / "airra-setup"}.items():
        monkeypatch.setattr(setup, name, value)
    if stamped is not None:
        folder = tmp_path if stamped == "here" else tmp_path / "original"
        setup.STAMP.write_text(setup.stamp(folder).replace(setup.stamp(folder)[:64], "0" * 64))  # of another lock file
    made: list[bool] = []

    class Builder:
        def __init__(self, with_pip: bool, clear: bool) -> None:
            made.append(clear)

        def create(self, path: Path) -> None:
            pass

    monkeypatch.setattr(setup.venv, "EnvBuilder", Builder)
    monkeypatch.setattr(setup.subprocess, "run", lambda *_, **__: None)
    assert setup.main() == 0
    assert setup.main() == 0  # the second finds the stamp of the first
    assert made == [cleared]
