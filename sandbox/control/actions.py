"""The actions that the control plane can do to a service, each checked before and named in a change event after."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from sandbox.control.target import Target
from sandbox.kinds import SCALE_CAP
from sandbox.scenario import MAX_WORKERS

MOST_WORKERS = SCALE_CAP * MAX_WORKERS
BY = "control-plane"

Change = dict[str, Any]


class BadActionError(Exception):
    """No such action, or its parameters are wrong, or this service cannot have it done."""


Effect = Callable[[], Awaitable[Change]]


def prepare(target: Target, action: str, params: dict[str, Any], now: Callable[[], int]) -> Effect:
    """Check an action and return its effect, which returns the change event; raise BadActionError."""
    makers = {
        "restart": _restart,
        "scale_up": _scale_up,
        "scale_down": _scale_down,
        "rollback": _rollback,
        "toggle_feature_flag": _toggle,
        "clear_cache": _clear_cache,
    }
    if action not in makers:
        raise BadActionError(f"no action {action!r}; there are {', '.join(makers)}")
    return makers[action](target, params, now)


def change(kind: str, service: str, at: int, before: object = "", after: object = "", *, name: str = "", by: str = BY) -> Change:
    """Write a change event as the changes topic has it."""
    return {"type": kind, "service": service, "at": at, "before": str(before), "after": str(after), "name": name, "by": by}


def _only(params: dict[str, Any], **kinds: type) -> None:
    if set(params) != set(kinds):
        raise BadActionError(f"params must be {{{', '.join(kinds)}}}, not {{{', '.join(params)}}}")
    for name, kind in kinds.items():
        if type(params[name]) is not kind:
            raise BadActionError(f"params.{name} must be {kind.__name__}, not {params[name]!r}")


def _restart(target: Target, params: dict[str, Any], now: Callable[[], int]) -> Effect:
    _only(params)

    async def effect() -> Change:
        before = target.incarnation
        await target.restart()
        return change("restart", target.name, now(), before, target.incarnation)

    return effect


def _scale_up(target: Target, params: dict[str, Any], now: Callable[[], int]) -> Effect:
    _only(params, workers=int)
    if not target.workers <= params["workers"] <= MOST_WORKERS:
        raise BadActionError(f"scale_up goes from {target.workers} to at most {MOST_WORKERS} workers, not to {params['workers']}")
    return _scale(target, params["workers"], now)


def _scale_down(target: Target, params: dict[str, Any], now: Callable[[], int]) -> Effect:
    _only(params, workers=int)
    if not 1 <= params["workers"] <= target.workers:
        raise BadActionError(f"scale_down goes from {target.workers} to at least 1 worker, not to {params['workers']}")
    return _scale(target, params["workers"], now)


def _scale(target: Target, workers: int, now: Callable[[], int]) -> Effect:
    async def effect() -> Change:
        before = target.workers
        await target.scale(workers)
        return change("scale", target.name, now(), before, workers)

    return effect


def _rollback(target: Target, params: dict[str, Any], now: Callable[[], int]) -> Effect:
    _only(params, to=str)
    release = params["to"]
    if release not in target.builds:
        raise BadActionError(f"{target.name} never ran release {release!r}; it ran {', '.join(target.builds)}")

    async def effect() -> Change:
        before = target.release
        if release != before:
            await target.deploy(release)
        return change("deploy", target.name, now(), before, release)

    return effect


def _toggle(target: Target, params: dict[str, Any], now: Callable[[], int]) -> Effect:
    _only(params, flag=str, enabled=bool)
    flag, enabled = params["flag"], params["enabled"]
    if flag not in target.flags:
        raise BadActionError(f"{target.name} has no flag {flag!r}; it has {', '.join(target.flags) or 'none'}")

    async def effect() -> Change:
        before = target.flags[flag]
        await target.set_flag(flag, enabled=enabled)
        return change("flag", target.name, now(), str(before).lower(), str(enabled).lower(), name=flag)

    return effect


def _clear_cache(target: Target, params: dict[str, Any], now: Callable[[], int]) -> Effect:
    _only(params)
    if target.spec.cache is None:
        raise BadActionError(f"{target.name} has no cache")

    async def effect() -> Change:
        await target.clear_cache()
        return change("cache", target.name, now(), after="cleared")

    return effect
