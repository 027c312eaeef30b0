"""What the campaign has proven is kept with what it was proven of, and what it has not come to only shrinks."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from tests.faults.points import beside, exempt, proven
from tests.faults.points.proven import FILE, ORDER, OWED

# Neither is changed to let a new await pass: that is struck, and then stands in proven.txt.
OWED_IS = "a819a3588073eef9"  # of owed.txt, which is closed
SPARED_ARE = (84, "fba408fcc129e7e3")

ALL = frozenset({"kb", "ka", "zb", "za"})


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


def test_every_crash_point_is_proven_or_exempt() -> None:
    """Given a new await between an input and its commit, when the campaign has not struck there, then this names it and the command."""
    most = proven.left()
    assert most is not None
    assert proven.problems(proven.read(), proven.names(), proven.read(OWED), most) == []


def test_every_crash_point_stands_where_it_stood_when_it_was_struck() -> None:
    """Given two awaits that changed places, when what is between them has not been struck again, then this names their function."""
    assert proven.disordered(proven.order(), proven.in_code()) == []


@pytest.mark.parametrize("path", [FILE, ORDER], ids=lambda path: path.name)
def test_strikes_alone_write_what_is_proven(path: Path) -> None:
    assert not proven.unsealed(path), "take back what was changed by hand; what is gone from the code is taken out by --tidy"


def test_nothing_is_owed_that_was_not() -> None:
    assert digest(OWED.read_bytes()) == OWED_IS, "what is new is struck, not owed: take it out of owed.txt"


def test_nothing_is_spared_that_was_not() -> None:
    """Given a new await, when it is exempt or beside the path, then whoever reviews it sees this test changed."""
    spared = sorted([*exempt.POINTS, *exempt.SIDES, *beside.POINTS])
    assert (len(spared), digest("\n".join(spared).encode())) == SPARED_ARE, "strike there; or say in the review why nothing can wait there"


def test_a_point_that_is_new_or_gone_or_half_proven_is_named_with_what_to_do() -> None:
    stood = {"a:f:one": ALL, "a:f:two": frozenset({"kb", "za"}), "a:f:gone": frozenset({"kb"})}
    closed = {"a:f:later": ALL, "a:f:one": frozenset({"za"}), "a:f:past": frozenset({"kb"})}
    found = proven.problems(stood, ["a:f:one", "a:f:two", "a:f:new", "a:f:later"], closed, 4)
    assert len(found) == 3
    assert found[0].startswith("a:f:gone is in proven.txt and no longer in the code")
    assert "a:f:two is not proven (ka, zb)" in found[1]
    assert "a:f:new is not proven (ka, kb, za, zb)" in found[2]
    assert "python -m tests.faults.points --note --only 'a:f:new'" in found[2]


def test_what_was_proven_does_not_become_owed_again() -> None:
    """Given a strike of the closed list that was proven, when its mark is taken away, then more is owed than was."""
    closed = {"a:f:one": ALL}
    assert proven.problems({"a:f:one": frozenset({"kb"})}, ["a:f:one"], closed, 3) == []
    (found,) = proven.problems({}, ["a:f:one"], closed, 3)
    assert found.startswith("4 strikes are owed, and 3 were")


def test_two_points_that_change_places_are_told_and_one_that_comes_between_is_not() -> None:
    struck = ["m:f:write", "m:f:act", "m:g:one"]
    assert proven.disordered(struck, struck) == []
    assert proven.disordered(struck, ["m:g:one", "m:f:write", "m:f:new", "m:f:act"]) == []
    assert proven.disordered(struck, ["m:f:act", "m:g:one"]) == []
    (found,) = proven.disordered(struck, ["m:f:act", "m:f:write", "m:g:one"])
    assert "the points of m:f stand in another order" in found
    assert "--note --only 'm:f:'" in found


class Files:
    """A proven.txt, an owed.txt and an order.txt of their own, and a code of a few points."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.path, self.closed, self.order = (folder / name for name in ("proven.txt", "owed.txt", "order.txt"))
        self._monkeypatch = monkeypatch
        self.code("m:f:write", "m:f:act", "m:g:one")

    def code(self, *names: str) -> None:
        for listed in ("names", "in_code"):
            self._monkeypatch.setattr(proven, listed, lambda: list(names))

    def note(self, name: str, *marks: str) -> None:
        proven.note(name, marks, self.path, self.closed, self.order)

    def problems(self) -> list[str]:
        left = proven.left(self.path)
        assert left is not None
        found = proven.problems(proven.read(self.path), proven.names(), proven.read(self.closed), left)
        return found + proven.disordered(proven.order(self.order), proven.in_code())


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Files:
    return Files(tmp_path, monkeypatch)


def test_what_a_point_stood_is_added_to_what_it_stood_before_and_points_that_are_gone_are_dropped(files: Files) -> None:
    files.closed.write_text("m:g:one  zb za\n")
    files.note("m:g:one", "kb", "ka")
    files.note("m:f:write", "zb")
    files.note("m:g:one", "za")
    assert proven.read(files.path) == {"m:f:write": {"zb"}, "m:g:one": {"kb", "ka", "za"}}
    assert proven.left(files.path) == 1
    assert proven.read(files.closed) == {"m:g:one": {"zb", "za"}}, "the closed list stays as it is"
    assert proven.order(files.order) == ["m:f:write", "m:f:act", "m:g:one"]
    files.code("m:g:one")
    files.note("m:g:one", "zb")
    assert proven.read(files.path) == {"m:g:one": {"kb", "ka", "zb", "za"}}
    assert proven.order(files.order) == ["m:g:one"]
    assert files.problems() == []


def test_an_order_is_proven_anew_by_striking_at_every_point_of_the_function_again(files: Files) -> None:
    for name in ("m:f:write", "m:f:act", "m:g:one"):
        files.note(name, *ALL)
    assert files.problems() == []
    files.code("m:f:act", "m:f:write", "m:g:one")
    assert len(files.problems()) == 1
    files.note("m:f:act", *ALL)
    assert len(files.problems()) == 1, "a strike at one of them does not make the order proven"
    assert proven.tidy(files.path, files.closed, files.order) == ["m:f"]
    assert proven.read(files.path) == {"m:g:one": ALL}
    files.note("m:f:act", *ALL)
    (found,) = files.problems()
    assert found.startswith("m:f:write is not proven")
    files.note("m:f:write", *ALL)
    assert files.problems() == []


def test_a_further_point_in_a_function_leaves_the_others_proven(files: Files) -> None:
    for name in ("m:f:write", "m:f:act", "m:g:one"):
        files.note(name, *ALL)
    files.code("m:f:write", "m:f:new", "m:f:act", "m:g:one")
    (found,) = files.problems()
    assert found.startswith("m:f:new is not proven")
    files.note("m:f:new", *ALL)
    assert files.problems() == []
    assert proven.order(files.order) == ["m:f:write", "m:f:new", "m:f:act", "m:g:one"]


def test_a_strike_of_the_closed_list_that_was_proven_is_not_owed_again_when_the_order_changes(files: Files) -> None:
    files.closed.write_text("".join(f"m:f:{what}  kb ka zb za\n" for what in ("write", "act")) + "m:g:one  kb ka zb za\n")
    for name in ("m:f:write", "m:f:act"):
        files.note(name, *ALL)
    files.code("m:f:act", "m:f:write", "m:g:one")
    proven.tidy(files.path, files.closed, files.order)
    assert files.problems()[0].startswith("12 strikes are owed, and 4 were")
    files.note("m:f:act", *ALL)
    files.note("m:f:write", *ALL)
    assert files.problems() == []


@pytest.mark.parametrize("by_hand", ["m:g:one  kb ka zb za\n", ""], ids=["added", "taken out"])
def test_a_line_that_no_strike_wrote_breaks_the_seal_and_no_strike_mends_it(files: Files, by_hand: str) -> None:
    files.note("m:f:write", "kb")
    assert not proven.unsealed(files.path)
    line = "m:f:write  kb\n"
    files.path.write_text(files.path.read_text().replace(line, line + by_hand if by_hand else ""))
    assert proven.unsealed(files.path)
    with pytest.raises(RuntimeError, match="changed by hand"):
        files.note("m:f:act", "kb")
