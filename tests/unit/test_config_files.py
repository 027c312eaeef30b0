"""A configuration file that cannot be used: the file, the line, what is wrong."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path

import pytest
import yaml

from cli.config import ConfigError, read_yaml
from cli.wiring import configuration
from schemas.settings import Settings

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


FILES = ("detect", "metrics", "correlate", "runbooks", "policy", "topology")


def numbers(value: object, at: tuple[object, ...] = ()) -> Iterator[tuple[object, ...]]:
    """The places of all numbers in a file."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        yield at
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, one in items:
        yield from numbers(one, (*at, key))


SHIPPED = {name: yaml.safe_load((ROOT / "config" / f"{name}.yaml").read_text()) for name in FILES}
PLACES = [(name, at) for name in FILES for at in numbers(SHIPPED[name])]


@pytest.mark.parametrize(("name", "at"), PLACES, ids=lambda part: part if isinstance(part, str) else ".".join(map(str, part)))
@pytest.mark.parametrize("number", [float("inf"), float("-inf"), float("nan"), 1e308, 10**30])
def test_a_number_that_nobody_can_count_with_is_refused_wherever_it_stands(
    name: str, at: tuple[object, ...], number: float, tmp_path: Path
) -> None:
    content = deepcopy(SHIPPED[name])
    place = content
    for key in at[:-1]:
        place = place[key]
    place[at[-1]] = number
    (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump(content))
    with pytest.raises(ConfigError, match=rf"{name}\.yaml: "):
        configuration(Settings(config_dir=tmp_path), name)


@pytest.mark.parametrize("name", ["health_s", "health_watched_s"])
def test_an_interval_of_next_to_nothing_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / "detect.yaml").write_text(yaml.safe_dump({**SHIPPED["detect"], name: 0.0001}))
    with pytest.raises(ConfigError, match=rf"detect\.yaml: {name}"):
        configuration(Settings(config_dir=tmp_path), "detect")


def test_the_files_that_we_ship_say_nothing_twice() -> None:
    for file in (ROOT / "config").glob("*.yaml"):
        assert read_yaml(file)
