"""An action on an open incident as verify reads of it, for its tests: begun, finished, and the readings after it."""

from schemas.actions import ActionSpec, Finished, FinishStatus, Seen, Started
from schemas.kinds import ActionName, Cause, Mode
from schemas.outcomes import Outcome
from tests.acting_world import INCIDENTS, OUTCOMES, T0, UNSCALE, World, evidence, incident

SPEC = ActionSpec(action=ActionName.SCALE_UP, service="orders", params={"workers": 4})


def started(*, mode: Mode = Mode.LIVE, undo: ActionSpec | None = UNSCALE, at: int = T0, **changes: object) -> Started:
    fields = {
        "id": f"sta-{at}",
        "action": "act-1",
        "proposal": "prp-1",
        "incident": "inc-1",
        "mode": mode,
        "spec": SPEC,
        "undo": undo,
        "cause": Cause.CPU_SPIKE,
        "hypothesis_service": "orders",
        "confidence": 0.9,
        "epoch": 0,
        "seen": Seen(),
        "at": at,
    }
    return Started(**{**fields, **changes})


def finished(*, mode: Mode = Mode.LIVE, status: FinishStatus = FinishStatus.SUCCEEDED, at: int = T0 + 1000, **changes: object) -> Finished:
    fields = {
        "id": "fin-1",
        "action": "act-1",
        "proposal": "prp-1",
        "incident": "inc-1",
        "mode": mode,
        "spec": SPEC,
        "status": status,
        "epoch": 0,
        "at": at,
    }
    return Finished(**{**fields, **changes})


class Watched(World):
    """An incident whose opener stands at `before`, and an action on it that finished a second after T0, whatever its host says."""

    def __init__(self, before: float = 4.0, *, ended_at: int = T0 + 1000, **start: object) -> None:
        super().__init__()
        mode = start.get("mode", Mode.LIVE)
        self.logs.write(INCIDENTS, incident(1, [evidence([before] * 20, T0)]))
        self.logs.write(INCIDENTS, started(**start))
        self.logs.now += 1000
        self.logs.write(INCIDENTS, finished(mode=mode, at=ended_at))
        self.settle()
        self.version = 1

    def after(self, values: list[float], seconds: int, **more: object) -> None:
        """Let time pass and write a record whose last reading is of now."""
        self.tick(seconds)
        self.version += 1
        self.logs.write(INCIDENTS, incident(self.version, [evidence(values, self.logs.now)], **more))
        self.settle()

    def outcomes(self) -> list[Outcome]:
        return self.logs.events(OUTCOMES)
