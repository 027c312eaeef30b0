"""Decode one JSON value of a producer; whatever is wrong with it is one of three reasons."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from streams.normalise.fates import Reason, Rejected, Rejection

# What msgspec raises for input that a stranger wrote: bad UTF-8 and nesting beyond the stack are errors of their own.
DECODE_ERRORS = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)

Value = TypeVar("Value")


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
