"""Compile a function over arrays to machine code at its first call, kept on disk for the next process.

numba looks at the file of a function alone to tell whether what it has kept is old, but the function holds the code of those that it
calls, which may stand in other files. So what is kept has a folder for each state of all of them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import numba

Function = TypeVar("Function", bound=Callable[..., Any])


def cache_folder(sources: Path) -> Path:
    """Return where the code that was compiled of these sources is kept: another folder after any change."""
    sums = hashlib.sha256()
    for path in sorted(sources.glob("*.py")):
        sums.update(path.name.encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return sources / "__pycache__" / f"kernels-{sums.hexdigest()[:16]}"


_config: Any = numba.config
if not _config.CACHE_DIR:  # NUMBA_CACHE_DIR
    _config.CACHE_DIR = str(cache_folder(Path(__file__).parent))


def compiled(function: Function) -> Function:
    """Type a function as what it is in Python: numba has no types of its own to tell."""
    return cast("Function", numba.njit(cache=True, nogil=True)(function))
