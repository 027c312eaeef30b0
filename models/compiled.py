"""Compile a function over arrays to machine code at its first call, kept on disk for the next process.

numba looks at the file of a function alone to tell whether what it has kept is old, but the function holds the code of those that it
calls, which may stand in other files. So what is kept has a folder for each state of all of them.
"""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, cast

import numba

Function = TypeVar("Function", bound=Callable[..., Any])


def cache_folder(sources: Path) -> Path:
    """Return where the code that was compiled of these sources is kept: another folder after any change, there, below or here."""
    sums = hashlib.sha256(hashlib.sha256(Path(__file__).read_bytes()).digest())
    for path in sorted(sources.rglob("*.py")):
        sums.update(str(path.relative_to(sources)).encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return sources / "__pycache__" / f"kernels-{sums.hexdigest()[:16]}"


_config: Any = numba.config
_OWN_FOLDER: str = _config.CACHE_DIR  # NUMBA_CACHE_DIR
_folder_of = cache(cache_folder)


def compiled(function: Function) -> Function:
    """Type a function as what it is in Python: numba has no types of its own to tell.

    It may call compiled functions of its own folder and of those below, and use what is constant there.
    """
    return _kept(function, {})


def compiled_bare(function: Function) -> Function:
    """Compile one that makes no array, and calls only such: references to arrays are not counted.

    Counting them costs two locked instructions a call, which is much in code of many small functions. It becomes part of whatever compiled
    code calls it: a call passes every field of every array.
    """
    return _kept(function, {"_nrt": False, "forceinline": True})


def _kept(function: Function, options: dict[str, Any]) -> Function:
    _config.CACHE_DIR = _OWN_FOLDER or str(_folder_of(Path(inspect.getfile(function)).parent))
    try:
        return cast("Function", numba.njit(cache=True, nogil=True, **options)(function))
    finally:
        _config.CACHE_DIR = _OWN_FOLDER
