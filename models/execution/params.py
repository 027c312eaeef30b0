"""What an action's parameters must be, and what the action would make of its target."""

from __future__ import annotations

from typing import Any

from schemas.actions import ActionSpec
from schemas.kinds import ActionName

SUPPORTED = frozenset(
    {
        ActionName.SCALE_UP,
        ActionName.SCALE_DOWN,
        ActionName.TOGGLE_FEATURE_FLAG,
        ActionName.ROLLBACK,
        ActionName.RESTART,
        ActionName.CLEAR_CACHE,
    }
)
_PARAMS: dict[ActionName, dict[str, type]] = {
    ActionName.SCALE_UP: {"workers": int},
    ActionName.SCALE_DOWN: {"workers": int},
    ActionName.TOGGLE_FEATURE_FLAG: {"flag": str, "enabled": bool},
    ActionName.ROLLBACK: {"to": str},
}


def problem(spec: ActionSpec) -> str | None:
    """Return what is wrong with an action, or None: an unknown one, a parameter missing, unknown, or of another type."""
    if spec.action not in SUPPORTED:
        return f"{spec.action.value} is not an action of this executor"
    wanted = _PARAMS.get(spec.action, {})
    if set(spec.params) != set(wanted):
        return f"{spec.action.value} takes {sorted(wanted)}, not {sorted(spec.params)}"
    for name, kind in wanted.items():
        value: Any = spec.params[name]
        if (
            type(value) is not kind or (isinstance(value, int) and kind is int and value < 1) or value == ""
        ):  # a boolean is an int to isinstance
            return f"{spec.action.value}: {name} is {value!r}"
    return None


def predict(before: dict[str, Any], spec: ActionSpec) -> dict[str, Any]:
    """Return the target's description as the action would leave it; what is not known stays away."""
    after = dict(before)
    match spec.action:
        case ActionName.SCALE_UP | ActionName.SCALE_DOWN:
            after["workers"] = spec.params["workers"]
        case ActionName.ROLLBACK:
            after["release"] = spec.params["to"]
            if "release" in before:
                after["previous_release"] = before["release"]
        case ActionName.TOGGLE_FEATURE_FLAG:
            after["flags"] = {**before.get("flags", {}), spec.params["flag"]: spec.params["enabled"]}
        case _:
            pass
    return after
