"""Compile a function over arrays to machine code at its first call, kept on disk beside the module for the next process."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

Function = TypeVar("Function", bound=Callable[..., Any])


def compiled(function: Function) -> Function:
    """Type a function as what it is in Python: numba has no types of its own to tell."""
    return cast("Function", numba.njit(cache=True, nogil=True)(function))
