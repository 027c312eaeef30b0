"""What a remote_write request holds, counted for the answer to its sender, and whether all of it can be read."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from streams.normalise.fates import Rejection
from streams.normalise.formats.remote_write import RemoteWrite, RemoteWrite2
from streams.normalise.formats.remote_write_kernel import read_columns
from streams.normalise.formats.wire import LEN, fields, tag

_TIMESERIES, _TIMESERIES_2 = tag(1, LEN), tag(5, LEN)
_SAMPLES, _EXEMPLARS, _HISTOGRAMS = tag(2, LEN), tag(3, LEN), tag(4, LEN)
_HISTOGRAMS_2, _EXEMPLARS_2 = tag(3, LEN), tag(4, LEN)


@dataclass(frozen=True, slots=True)
class Written:
    samples: int
    histograms: int = 0
    exemplars: int = 0  # passed over: nothing downstream has a use for them

    @property
    def headers(self) -> dict[str, str]:
        """Say what was taken, as 2.0 wants it said."""
        begin = "X-Prometheus-Remote-Write"
        return {
            f"{begin}-Samples-Written": str(self.samples),
            f"{begin}-Histograms-Written": str(self.histograms),
            f"{begin}-Exemplars-Written": "0",
        }


def count(body: bytes) -> tuple[Written, Rejection | None]:
    """Count a request of 1.0; raises Rejected for one that cannot be read at all, and returns why a part of it cannot."""
    found = read_columns([body])
    if not found.left[0]:
        return Written(len(found.at)), None
    return _tally(body, _TIMESERIES, (_SAMPLES, _HISTOGRAMS, _EXEMPLARS)), _bad(RemoteWrite().read(body))


def count_2(body: bytes) -> tuple[Written, Rejection | None]:
    """Count a request of 2.0, as `count`."""
    return _tally(body, _TIMESERIES_2, (_SAMPLES, _HISTOGRAMS_2, _EXEMPLARS_2)), _bad(RemoteWrite2().read(body))


def _tally(body: bytes, series: int, wanted: tuple[int, int, int]) -> Written:
    found = [field for outer, _, start, end, _ in fields(body) if outer == series for field, *_ in fields(body, start, end)]
    return Written(*(found.count(one) for one in wanted))


def _bad(items: Iterable[object]) -> Rejection | None:
    return next((one for one in items if isinstance(one, Rejection)), None)
