"""What an action's parameters must be, what the action would make of its target, and what it has made of it."""

from __future__ import annotations

from typing import Any, TypeVar

from schemas.actions import ActionSpec, Preconditions
from schemas.kinds import ActionName

Value = TypeVar("Value")

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


def left_by(spec: ActionSpec, after: dict[str, Any]) -> Preconditions:
    """Return the target as a done action left it, on what its parameters touch: what must still hold when it is undone.

    `after` is the target's own description at the end; where it says nothing usable, what was asked for was done.
    """
    flags = after.get("flags")
    match spec.action:
        case ActionName.SCALE_UP | ActionName.SCALE_DOWN:
            return Preconditions(workers=_typed(after.get("workers"), spec.params.get("workers"), int))
        case ActionName.ROLLBACK:
            return Preconditions(release=_typed(after.get("release"), spec.params.get("to"), str))
        case ActionName.TOGGLE_FEATURE_FLAG:
            name = str(spec.params.get("flag"))
            seen = flags.get(name) if isinstance(flags, dict) else None
            enabled = _typed(seen, spec.params.get("enabled"), bool)
            return Preconditions(flags={} if enabled is None else {name: enabled})
        case _:
            return Preconditions()


def _typed(seen: Any, asked: Any, kind: type[Value]) -> Value | None:
    return next((value for value in (seen, asked) if type(value) is kind), None)


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
