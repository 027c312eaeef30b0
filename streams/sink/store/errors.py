"""How what the store says becomes one of the three kinds of error."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from clickhouse_connect.driver.exceptions import ClickHouseError, DataError, ProgrammingError

from streams.harness.errors import Fatal, Poison, Retryable

# ClickHouse's codes for a login that no repetition will make right: UNKNOWN_USER, WRONG_PASSWORD, REQUIRED_PASSWORD, AUTHENTICATION_FAILED
REFUSED_LOGIN = frozenset({192, 193, 194, 516})


@contextmanager
def sorted_errors(doing: str) -> Iterator[None]:
    """Raise Poison for values that no store can hold, Fatal for a refused login or use, Retryable for the rest."""
    try:
        yield
    except (DataError, OverflowError, UnicodeEncodeError) as error:
        raise Poison("unstorable", f"{doing}: {error}") from error
    except ProgrammingError as error:
        raise Fatal(f"{doing}: {error}") from error
    except ClickHouseError as error:
        if getattr(error, "code", None) in REFUSED_LOGIN:
            raise Fatal(f"{doing}: the store refuses the login; check the user in store_url, and store_password") from error
        raise Retryable(f"{doing}: {first_line(error)}") from error


def first_line(error: Exception) -> str:
    """Shorten an error to what fits a readiness reason."""
    lines = str(error).splitlines() or [type(error).__name__]
    return lines[0][:300]
