"""Which SQL the read-only server lets through.

The engine's own `readonly = 1` refuses every write and most sources outside the store. It leaves holes that this closes, on the text
that ClickHouse's own parser wrote back (no comments, one way to quote): `SELECT … INTO OUTFILE`, the scalar function `file`, table
functions that reach the network before access is checked, `KILL`, and Python objects of this very process.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

READONLY = 164  # ClickHouse's code of the same refusal
FUNCTION_NOT_ALLOWED = 446

_READS = frozenset({"SELECT", "WITH", "SHOW", "DESCRIBE", "EXISTS", "EXPLAIN"})
_PAIRS = frozenset({("INTO", "OUTFILE"), ("PARALLEL", "WITH")})  # writes a file; joins statements of any kind
# Refused wherever the name stands: a function can be named without being called (`* APPLY file`, `arrayMap(file, …)`).
_NAMES = frozenset({"file", "python", "eval", "executable", "catboostevaluate", "hascolumnintable", "stack_trace", "trap"})
_AI = re.compile(r"ai[a-z]+", re.IGNORECASE)  # aiGenerate and its like call out; only as a call, for it is a common prefix
# Table functions that compute, or read tables that a SELECT may read anyway; every other one is refused, new ones included.
# `format` is a table function too, over text that stands in the query, and a scalar function of everyday use.
SAFE_TABLE_FUNCTIONS = frozenset(
    "numbers numbers_mt zeros zeros_mt primes generateseries generate_series generaterandom values null view merge format".split()  # noqa: SIM905
)
_TOKEN = re.compile(
    r"""
    (?P<string>'(?:\\.|[^'\\])*')
  | `(?P<back>(?:\\.|[^`\\])*)`
  | "(?P<double>(?:\\.|[^"\\])*)"
  | (?P<word>[A-Za-z_][A-Za-z0-9_]*)
  | (?P<number>[0-9][A-Za-z0-9_.]*)
  | (?P<space>\s+)
  | (?P<other>.)
    """,
    re.VERBOSE | re.DOTALL,
)


class RefusedError(Exception):
    """Say that a query is none that a reader may run."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str


def check(normalised: str, table_functions: frozenset[str]) -> None:
    """Raise RefusedError unless this is one reading query; `normalised` is what formatQuery made of it, function names in lower case."""
    tokens = list(_tokens(normalised))
    first = next((token.text.upper() for token in tokens if token.text != "("), "")
    if first not in _READS:
        raise RefusedError(READONLY, f"the store is read-only here: {first or 'nothing'} is not among {', '.join(sorted(_READS))}")
    for token, following in zip(tokens, [*tokens[1:], _Token("end", "")], strict=True):
        if token.kind == "word" and (token.text.upper(), following.text.upper()) in _PAIRS:
            raise RefusedError(READONLY, f"the store is read-only here: {token.text} {following.text} would do more than read")
        if token.kind in {"word", "quoted"}:
            _check_name(token.text.lower(), called=following.text == "(", table_functions=table_functions)


def _check_name(name: str, *, called: bool, table_functions: frozenset[str]) -> None:
    reaches_out = called and (name in table_functions - SAFE_TABLE_FUNCTIONS or _AI.fullmatch(name))
    if name in _NAMES or reaches_out:
        raise RefusedError(FUNCTION_NOT_ALLOWED, f"{name} is not allowed here: it reaches beyond the store")


def _tokens(text: str) -> Iterator[_Token]:
    for match in _TOKEN.finditer(text):
        kind = match.lastgroup or "other"
        if kind in {"space", "string"}:
            continue
        if kind in {"back", "double"}:
            yield _Token("quoted", re.sub(r"\\(.)", r"\1", match[kind]))
        else:
            yield _Token(kind, match[kind])
