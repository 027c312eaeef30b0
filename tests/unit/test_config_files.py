"""A configuration file that cannot be used: the file, the line, what is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli.config import ConfigError, read_yaml

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"a: 1\nb: \xff\n", "line 2: byte 0xff is not UTF-8"),
        (b"rules: 1\nother: 2\nrules: 3\n", "line 3: rules is given twice"),
        (b"a:\n  - {b: 1, c: 2, b: 3}\n", "line 2: b is given twice"),
        (b"a:\n  " + b"[" * 600, "line 2: nested more than 50 deep"),
        (b"{a: " * 3000, "line 1: nested more than 50 deep"),
        (b"a: 1\nb: \x00\n", "line 2: not YAML"),
        (b"a: [\n", "line 2: not YAML"),
        (b"a: 1\nat: 2026-13-45\n", "line 2: a value that is none of its type: month must be in 1..12"),
        (b"a: !!int x\n", "line 1: a value that is none of its type"),
        (b"a: !!python/object:os.system x\n", "line 1: not YAML: could not determine a constructor"),
    ],
)
def test_a_file_that_cannot_be_used_names_itself_the_line_and_the_mistake(tmp_path: Path, content: bytes, said: str) -> None:
    file = tmp_path / "correlate.yaml"
    file.write_bytes(content)

    with pytest.raises(ConfigError) as caught:
        read_yaml(file)
    assert str(caught.value).startswith(f"{file}: {said}")


def test_one_text_as_two_types_is_two_keys_and_a_merge_may_be_overridden(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text('x: &x {a: 1}\ny: {<<: *x, a: 2}\nz: {1: a, "1": b}\n')

    assert read_yaml(file) == {"x": {"a": 1}, "y": {"a": 2}, "z": {1: "a", "1": "b"}}


def test_the_files_that_we_ship_say_nothing_twice() -> None:
    for file in (ROOT / "config").glob("*.yaml"):
        assert read_yaml(file)
