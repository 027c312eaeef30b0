"""The distance of a service from its own past, over all kinds at once, as compiled code.

A kind's reading is how far its series are out of the ordinary together, in the bad direction: the root mean square of their z, each in
[0, MOST_Z]. Of such a vector x, with mean m and covariance C of the past, the distance is that of Mahalanobis (1936),
sqrt(r' S^-1 r), of what is left of the harm once load has explained what it does: r is the residual of the harm's part of x - m given
the load's, S its covariance (the conditional normal distribution; Anderson, *An Introduction to Multivariate Statistical Analysis*,
2003, ch. 2.5), and what is better than usual counts as usual. So kinds that always rise together count once, and a small move of
kinds that never do counts as much as a large one of a single kind.

C is shrunk towards its diagonal while the past is short (Ledoit & Wolf 2004, with a weight that falls with the length), and FAINT^2 is
added to the diagonal: a tenth of a band is no news, however still it was before.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from models.compiled import compiled, compiled_bare
from models.detection.packed import Floats, Ints
from models.joint.past import CONTEXT, KINDS

MOST_Z = 10.0  # further off says no more
MEMORY = 720.0  # moments: two hours of them at 10 s
CLIP = 4.0  # standard deviations: what is further off moves the past by as much
FAINT = 0.3  # of the scale of readings, where a band is 3
_LOAD = len(CONTEXT)
_ALL = len(KINDS)


@compiled
def distances(pasts: Any, rows: Ints, x: Floats) -> Floats:
    """Return the distance of each service, (n,), in standard deviations, ≥ 0; NaN where there is no reading of harm.

    Args: pasts, records with the fields of PAST; rows (n,), the service's place among them; x (n, KINDS), readings ≥ 0, NaN where there
    is none. Changes nothing.
    """
    found = np.full(len(rows), np.nan)
    here, factor, rest = np.empty(_ALL, np.int64), np.empty((_ALL, _ALL)), np.empty(_ALL)
    for i in range(len(rows)):
        count = _present(pasts[rows[i]], x[i], here)
        if count and here[count - 1] >= _LOAD:
            _factorise(pasts[rows[i]], here[:count], factor)
            found[i] = _distance(pasts[rows[i]], x[i], here[:count], factor, rest)
    return found


@compiled
def learn(pasts: Any, rows: Ints, x: Floats) -> None:
    """Take readings into the pasts of services.

    Args as of `distances`. Changes `pasts`.
    """
    step, rate = np.empty(_ALL), np.empty(_ALL)
    for i in range(len(rows)):
        _learn(pasts[rows[i]], x[i], step, rate)


@compiled_bare
def _present(past: Any, x: Floats, here: Ints) -> int:
    """Put the kinds that have a reading and a past into `here`, in order; return how many there are."""
    count = 0
    for kind in range(_ALL):
        if past.seen[kind] > 0 and not np.isnan(x[kind]):
            here[count] = kind
            count += 1
    return count


@compiled_bare
def _factorise(past: Any, here: Ints, factor: Floats) -> None:
    """Put the lower Cholesky factor of the shrunk covariance of these kinds into `factor`; its squared pivots are FAINT^2 at least."""
    count = len(here)
    for i in range(count):
        for j in range(i + 1):
            one, two = here[i], here[j]
            total = past.spread[one, two]
            if i == j:
                total += FAINT * FAINT
            else:
                total *= np.sqrt(past.seen[one] / (past.seen[one] + count) * past.seen[two] / (past.seen[two] + count))
            for k in range(j):
                total -= factor[i, k] * factor[j, k]
            factor[i, j] = np.sqrt(max(total, FAINT * FAINT / 2)) if i == j else total / factor[j, j]


@compiled_bare
def _distance(past: Any, x: Floats, here: Ints, factor: Floats, rest: Floats) -> float:
    """Solve forward for the load, take from the harm what it explains, and forward again for the harm alone."""
    count = len(here)
    load = 0
    for i in range(count):
        rest[i] = x[here[i]] - past.mean[here[i]]
        load += here[i] < _LOAD
    for i in range(load):
        for k in range(i):
            rest[i] -= factor[i, k] * rest[k]
        rest[i] /= factor[i, i]
    total = 0.0
    for i in range(load, count):
        for k in range(load):
            rest[i] -= factor[i, k] * rest[k]
        rest[i] = max(rest[i], 0.0)
    for i in range(load, count):
        for k in range(load, i):
            rest[i] -= factor[i, k] * rest[k]
        rest[i] /= factor[i, i]
        total += rest[i] * rest[i]
    return float(np.sqrt(total))


@compiled_bare
def _learn(past: Any, x: Floats, step: Floats, rate: Floats) -> None:
    """Take one moment in. With D = diag(1 - rate) and v = √rate · step the spread becomes √D spread √D + v v': a covariance still."""
    for kind in range(_ALL):
        step[kind] = rate[kind] = 0.0
        if np.isnan(x[kind]):
            continue
        past.seen[kind] = min(past.seen[kind] + 1, MEMORY)
        if past.seen[kind] == 1:
            past.mean[kind] = x[kind]
        off = x[kind] - past.mean[kind]
        most = CLIP * np.sqrt(past.spread[kind, kind] + FAINT * FAINT)
        rate[kind] = 1 / past.seen[kind]
        step[kind] = min(max(off, -most), most)
        past.mean[kind] += rate[kind] * step[kind]
    for one in range(_ALL):
        for two in range(one + 1):
            kept = np.sqrt((1 - rate[one]) * (1 - rate[two]))
            past.spread[one, two] = kept * past.spread[one, two] + np.sqrt(rate[one] * rate[two]) * step[one] * step[two]
