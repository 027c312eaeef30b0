"""What was done to the target and should not have been, or not twice: told from its own log and from what came to it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from models.execution.log import Ended
from schemas.actions import FinishStatus
from schemas.kinds import Mode
from tests.faults.points.gate import Request

NOT_DONE = "not_done"
# A POST that is answered so had no effect: it was refused for its token, or before anything was done.
REFUSED = frozenset({400, 401, 404, 409, 422})


def counted(
    effects: Sequence[str], ends: Mapping[str, Ended], incidents: Mapping[str, str], requests: Iterable[Request]
) -> tuple[int, int, int]:
    """Return lost, doubled and wrong effects. Of a live action that ended unknown there may be one; of all but the succeeded, none."""
    done = set(effects)
    by_status = {action: end.status for action, end in ends.items() if end.mode is Mode.LIVE}
    succeeded = {action for action, status in by_status.items() if status is FinishStatus.SUCCEEDED}
    unknown = {action for action, status in by_status.items() if status is FinishStatus.UNKNOWN}
    return len(succeeded - done), doubled(effects, incidents) + len(blind(requests)), len(done - succeeded - unknown)


def doubled(effects: Iterable[str], incidents: Mapping[str, str]) -> int:
    """Return how many effects there were beyond one for each incident; `effects` are keys, `incidents` says whose each is.

    The target's log has one entry a key, so two of one incident have two keys: each action that was granted for it counts.
    """
    return sum(count - 1 for count in Counter(incidents.get(key, key) for key in effects).values())


def blind(requests: Iterable[Request]) -> list[Request]:
    """Return the requests to act that came although an earlier one of the same key may have had its effect.

    Only the target's word that nothing was done allows another: the answer of a look-up, or a refusal of the earlier request. What the
    target refused did nothing, and what it has not answered yet is counted once it has.
    """
    open_keys = set[str]()
    found = []
    for request in requests:
        if request.method == "POST" and request.key and request.status not in REFUSED:
            if request.key in open_keys and request.status:
                found.append(request)
            open_keys.add(request.key)
        elif request.method == "GET" and request.word == NOT_DONE:
            open_keys.discard(request.key)
    return found
