"""From derived series to a reading of each kind of each service: how far they are out of the ordinary together. Compiled code."""

from __future__ import annotations

from typing import Any

import numpy as np

from models.compiled import compiled
from models.detection.judge_kernel import badness
from models.detection.packed import Floats, Ints, Numbers
from models.joint.kernel import MOST_Z
from models.joint.past import KINDS

_ALL = len(KINDS)


@compiled
def readings(slots: Any, members: Numbers, starts: Ints, service: Ints, kind: Ints, services: int, ready: int, since: int) -> Floats:
    """Return (services, KINDS): the root mean square of the z of each kind's series in the bad direction, NaN where there is none.

    Only of series that are judged: what is not goes with something else that is no harm, as the hits of a cache with the load.

    Args: slots, the records of the table; members, the slots of group g at starts[g] … starts[g + 1]; service (groups,), whose it is;
    kind (groups,), its column, below 0 where it has none; ready, points that a series must have; since in ms, and its newest no older.
    """
    total, count = np.zeros((services, _ALL)), np.zeros((services, _ALL))
    for group in range(len(kind)):
        if kind[group] < 0:
            continue
        for row in members[starts[group] : starts[group + 1]]:
            one = slots[row]
            if one.judged and one.seen > ready and one.newest >= max(since, one.settled):
                z = min(max(badness(one), 0.0), MOST_Z)
                total[service[group], kind[group]] += z * z
                count[service[group], kind[group]] += 1
    found = np.full((services, _ALL), np.nan)
    for i in range(services):
        for k in range(_ALL):
            if count[i, k] > 0:
                found[i, k] = np.sqrt(total[i, k] / count[i, k])
    return found
