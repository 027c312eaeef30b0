"""Decode one JSON value of a producer; whatever is wrong with it is one of three reasons."""

from __future__ import annotations

import json
from collections import Counter
from typing import TypeVar

import msgspec

from streams.normalise.fates import Reason, Rejected, Rejection

# What msgspec raises for input that a stranger wrote: bad UTF-8 and nesting beyond the stack are errors of their own.
DECODE_ERRORS = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)

Value = TypeVar("Value")
_LABELS = msgspec.json.Decoder(dict[str, str])


def why(error: Exception) -> Rejection:
    """Sort one of DECODE_ERRORS into its reason."""
    text = str(error)
    if not isinstance(error, msgspec.ValidationError):
        return Rejection(Reason.NOT_JSON, text)
    return Rejection(Reason.MISSING_FIELD if "missing required field" in text else Reason.WRONG_TYPE, text)


def decode(decoder: msgspec.json.Decoder[Value], data: bytes | msgspec.Raw | None, limit: int) -> Value:
    """Raise Rejected for anything that is not this decoder's type, or longer than `limit` bytes."""
    if data is None:
        raise Rejected(Reason.NOT_JSON, "the record has no value")
    if isinstance(data, bytes) and len(data) > limit:
        raise Rejected(Reason.TOO_LARGE, f"{len(data)} bytes, at most {limit}")
    try:
        return decoder.decode(data)
    except DECODE_ERRORS as error:
        rejection = why(error)
        raise Rejected(rejection.reason, rejection.detail) from error


def unique_labels(raw: bytes | msgspec.Raw) -> dict[str, str]:
    """Return a JSON object of texts; raise Rejected for anything else, and where a label stands twice."""
    labels = decode(_LABELS, raw, len(raw))
    # msgspec keeps the last of two without a word. A label has four quotes: more means that one stands twice, or that a quote is escaped.
    if bytes(raw).count(b'"') > 4 * len(labels):
        names = Counter(name for name, _ in json.loads(bytes(raw), object_pairs_hook=list))
        twice = next((name for name, count in names.items() if count > 1), None)
        if twice is not None:
            raise Rejected(Reason.WRONG_TYPE, f"two labels {twice[:64]!r}")
    return labels
