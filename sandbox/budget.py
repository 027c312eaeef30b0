"""The CPU that a whole system will use, and how it is made to fit: a sandbox leaves the machine to whoever watches it."""

from __future__ import annotations

from dataclasses import dataclass, replace

LIMIT = 0.6  # cores, of the contract
PLANNED = 0.55  # of them, so that a start, a slower machine or an uneven minute stay within
BASE = 0.02  # scraper, control plane and users' process, with nobody to look after
SERVICE = 0.006  # to run one service and scrape it once a second
REQUEST_S = 0.0007  # CPU seconds of a request beside its work: to send, read, route and answer it
LEAST_SHARE = 0.2  # ordinary work below this share of what was planned is hardly to be seen


@dataclass(frozen=True, slots=True)
class Share:
    """What one service takes part in."""

    rate: float  # requests/s
    busy: float  # share of capacity at that rate
    workers: int
    cap: float  # cores a worker
    fixed_cap: bool  # the file says so
    worst: float = 0.0  # share of capacity that the worst of its overloads asks for
    extra_rate: float = 0.0  # requests/s that its worst surge adds

    @property
    def capacity(self) -> float:
        return self.workers * self.cap


def cores(shares: dict[str, Share]) -> float:
    """Return the cores that the system uses while the worst of its faults lasts, and after its cure."""
    duty = sum(share.busy * share.capacity for share in shares.values())
    fault = max(
        (max(0.0, share.worst - share.busy) * share.capacity + share.extra_rate * REQUEST_S for share in shares.values()), default=0.0
    )
    return _fixed(shares) + duty + fault


def fit(shares: dict[str, Share]) -> dict[str, Share]:
    """Return shares that fit, as far as that goes: first let idle services do less, then make the caps nobody asked for smaller."""
    over = cores(shares) - PLANNED
    if over <= 0:
        return shares
    free = {name: share for name, share in shares.items() if not share.worst}
    ordinary = sum(share.busy * share.capacity for share in free.values())
    less = max(LEAST_SHARE, 1 - over / ordinary) if ordinary else 1.0
    shares = {name: replace(share, busy=share.busy * less) if name in free else share for name, share in shares.items()}
    if (over := cores(shares) - PLANNED) <= 0:
        return shares
    return _smaller(shares)


def _smaller(shares: dict[str, Share]) -> dict[str, Share]:
    """Halve the room for what may be smaller until it is right."""
    low, high = 0.02, 1.0

    def scaled(factor: float) -> dict[str, Share]:
        return {name: share if share.fixed_cap else replace(share, cap=share.cap * factor) for name, share in shares.items()}

    for _ in range(30):
        middle = (low + high) / 2
        low, high = (middle, high) if cores(scaled(middle)) <= PLANNED else (low, middle)
    return scaled(low)


def _fixed(shares: dict[str, Share]) -> float:
    return BASE + SERVICE * len(shares) + REQUEST_S * sum(share.rate for share in shares.values())
