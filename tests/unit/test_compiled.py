"""Compiled code that is kept belongs to one state of the sources: a caller is compiled anew when what it calls has changed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from models import compiled
from models.detection import judge_kernel
from streams.normalise.formats import wire_kernel


def test_a_change_of_any_source_has_a_folder_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "caller.py").write_text("from called import f")
    (tmp_path / "called.py").write_text("f = 1")
    first = compiled.cache_folder(tmp_path)
    assert compiled.cache_folder(tmp_path) == first
    (tmp_path / "called.py").write_text("f = 2")
    second = compiled.cache_folder(tmp_path)
    assert second != first
    (tmp_path / "called.py").rename(tmp_path / "renamed.py")
    assert compiled.cache_folder(tmp_path) not in (first, second)


def test_another_way_of_compiling_has_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sources, own = tmp_path / "kernels", tmp_path / "compiled.py"
    sources.mkdir()
    own.write_text("options = 1")
    monkeypatch.setattr(compiled, "__file__", str(own))
    first = compiled.cache_folder(sources)
    own.write_text("options = 2")
    assert compiled.cache_folder(sources) != first


def test_what_is_compiled_is_kept_in_the_folder_of_its_own_sources() -> None:
    for module, function in ((judge_kernel, judge_kernel.judge), (wire_kernel, wire_kernel.field)):
        here = compiled.cache_folder(Path(module.__file__).parent)
        kept = Path(function.stats.cache_path)  # type: ignore[attr-defined]
        assert kept.is_relative_to(os.environ.get("NUMBA_CACHE_DIR", here))
