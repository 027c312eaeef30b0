"""Which parts of this process are ready, and why the others are not."""

from __future__ import annotations

import threading


class Readiness:
    """What /health reports; any thread may set it. Ready when every part that has reported is ready."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._parts: dict[str, tuple[bool, str]] = {}

    def set(self, component: str, ready: bool, reason: str = "") -> None:
        with self._lock:
            self._parts[component] = (ready, reason)

    def report(self) -> tuple[bool, dict[str, str]]:
        """Return whether all parts are ready, and each part's reason ("ready" where there is none)."""
        with self._lock:
            parts = dict(self._parts)
        ready = bool(parts) and all(state for state, _ in parts.values())
        return ready, {name: reason or ("ready" if state else "not ready") for name, (state, reason) in sorted(parts.items())}
