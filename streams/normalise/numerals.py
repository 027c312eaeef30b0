"""Numbers as Prometheus writes them: what Python's float() takes besides (1_000, spaces, other scripts' digits) is a mistake."""

from __future__ import annotations

import re
from collections.abc import Sequence

# Possessive: digits are never given back, or a long value that is none costs its length squared.
_NUMERAL = re.compile(r"[+-]?(?:(?:\d++(?:\.\d*+)?|\.\d++)(?:[eE][+-]?\d+)?|inf(?:inity)?|nan)", re.ASCII | re.IGNORECASE)


def is_numeral(text: str) -> bool:
    return _NUMERAL.fullmatch(text) is not None


def all_numerals(texts: Sequence[str]) -> bool:
    """Tell of texts that float() took whether each is a numeral: a few passes in C over all of them, for this is the hot path."""
    joined = "".join(texts)
    return joined.isascii() and "_" not in joined and joined.split(None, 1) in ([], [joined])


def parse_number(text: str) -> float:
    """Raise ValueError for what is no numeral."""
    if not is_numeral(text):
        raise ValueError(f"{text[:64]!r} is not a number")
    return float(text)
