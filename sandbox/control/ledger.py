"""What was done to the system, durably: an intent before the effect, its end after it, and the highest fencing token seen."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

Status = Literal["in_progress", "done", "failed"]


class StaleTokenError(Exception):
    """A newer owner has been here."""

    def __init__(self, highest: int) -> None:
        super().__init__(f"the highest fencing token seen is {highest}")
        self.highest = highest


class OtherBodyError(Exception):
    """The key stands for another action."""


@dataclass(frozen=True, slots=True)
class Effect:
    """One action under its idempotency key."""

    key: str
    action: str
    service: str
    params: dict[str, Any]
    fencing_token: int
    started_at: int
    status: Status = "in_progress"
    finished_at: int | None = None
    before: dict[str, Any] = field(default_factory=dict)
    after: dict[str, Any] = field(default_factory=dict)
    error: str = ""


class Ledger:
    """An append-only file of JSON lines, each on the disk before what depends on it happens."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._effects: dict[str, Effect] = {}
        self.highest_token = -1
        for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
            self._fold(json.loads(line))
        for effect in list(self._effects.values()):
            if effect.status == "in_progress":  # the control plane ended in between: nobody will finish it
                self._append({"entry": "failed", "key": effect.key, "at": effect.started_at, "error": "the control plane ended meanwhile"})

    def effects(self) -> list[Effect]:
        return list(self._effects.values())

    def find(self, key: str) -> Effect | None:
        return self._effects.get(key)

    def fence(self, token: int, at: int) -> None:
        """Remember the highest token; raise StaleTokenError for a lower one."""
        if token < self.highest_token:
            raise StaleTokenError(self.highest_token)
        if token > self.highest_token:
            self._append({"entry": "fence", "token": token, "at": at})

    def known(self, key: str, action: str, service: str, params: dict[str, Any]) -> Effect | None:
        """Return what the key stands for; raise OtherBodyError when that is something else."""
        effect = self._effects.get(key)
        if effect is not None and (effect.action, effect.service, effect.params) != (action, service, params):
            raise OtherBodyError(key)
        return effect

    def begin(self, key: str, action: str, service: str, params: dict[str, Any], token: int, at: int) -> None:
        """Write down what is about to be done."""
        self._append(
            {"entry": "intent", "key": key, "action": action, "service": service, "params": params, "fencing_token": token, "at": at}
        )

    def done(self, key: str, at: int, before: dict[str, Any], after: dict[str, Any]) -> Effect:
        self._append({"entry": "done", "key": key, "at": at, "before": before, "after": after})
        return self._effects[key]

    def failed(self, key: str, at: int, error: str) -> Effect:
        self._append({"entry": "failed", "key": key, "at": at, "error": error})
        return self._effects[key]

    def _append(self, entry: dict[str, Any]) -> None:
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")
            file.flush()
            os.fsync(file.fileno())
        self._fold(entry)

    def _fold(self, entry: dict[str, Any]) -> None:
        match entry["entry"]:
            case "fence":
                self.highest_token = max(self.highest_token, entry["token"])
            case "intent":
                fields = {name: entry[name] for name in ("key", "action", "service", "params", "fencing_token")}
                self._effects[entry["key"]] = Effect(**fields, started_at=entry["at"])
            case "done":
                effect = self._effects[entry["key"]]
                self._effects[effect.key] = replace(
                    effect, status="done", finished_at=entry["at"], before=entry["before"], after=entry["after"]
                )
            case _:
                effect = self._effects[entry["key"]]
                self._effects[effect.key] = replace(effect, status="failed", finished_at=entry["at"], error=entry["error"])
