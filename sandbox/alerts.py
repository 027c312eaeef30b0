"""Alert rules over the scrapes, and an Alertmanager that groups what fires and repeats it while it does."""

from __future__ import annotations

import hashlib
import json
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from sandbox.scrape import Scrape

WINDOW_MS = 10_000
HOLD = 3  # scrapes in a row before a rule fires
DOWN_HOLD = 2
ERROR_RATIO = 0.05
MIN_ERRORS = 5
MEMORY_BYTES = 150 * 1_048_576
SLOW_TIMES, SLOW_FLOOR_S = 6.0, 0.2  # a mean above both: so many times the ordinary one, and at least this
REPEAT_MS = 10_000
STILL_FIRING = "0001-01-01T00:00:00Z"  # what a real Alertmanager writes as endsAt
NAME = "sandbox"


@dataclass(frozen=True, slots=True)
class Alert:
    name: str
    severity: str
    labels: dict[str, str]
    summary: str

    @property
    def all_labels(self) -> dict[str, str]:
        return {"alertname": self.name, **self.labels, "severity": self.severity}

    @property
    def fingerprint(self) -> str:
        return hashlib.blake2b(json.dumps(self.all_labels, sort_keys=True).encode(), digest_size=8).hexdigest()


@dataclass(slots=True)
class _Watch:
    past: deque[tuple[int, float, float, float, float]] = field(default_factory=deque)  # time, requests, errors, seconds, answers
    held: dict[str, int] = field(default_factory=dict)


class Rules:
    """HighLatency, HighErrorRatio, HighMemory, TargetDown, for each target."""

    def __init__(self, ordinary_s: dict[str, float]) -> None:
        self._ordinary_s = ordinary_s
        self._watches: dict[str, _Watch] = {}

    def observe(self, scrape: Scrape) -> list[Alert]:
        """Fold a scrape; return what fires now."""
        target = scrape.target
        watch = self._watches.setdefault(target.service, _Watch())
        if not scrape.up:
            watch.past.clear()
            return self._hold(watch, [self._alert(scrape, "TargetDown", "critical", f"{target.service} does not answer")])
        requests, errors, seconds, answers = self._over_window(watch, scrape)
        slow = max(SLOW_FLOOR_S, SLOW_TIMES * self._ordinary_s[target.service])
        mean = seconds / answers if answers else 0.0
        memory = scrape.value("memory") or 0.0
        firing = []
        if mean > slow:
            firing.append(self._alert(scrape, "HighLatency", "warning", f"{target.service} takes {mean * 1000:.0f} ms on average"))
        if errors >= MIN_ERRORS and errors / max(requests, 1) > ERROR_RATIO:
            firing.append(self._alert(scrape, "HighErrorRatio", "critical", f"{errors / requests:.0%} of {target.service}'s requests fail"))
        if memory > MEMORY_BYTES:
            firing.append(self._alert(scrape, "HighMemory", "warning", f"{target.service} uses {memory / 1_048_576:.0f} MB"))
        return self._hold(watch, firing)

    def _over_window(self, watch: _Watch, scrape: Scrape) -> tuple[float, float, float, float]:
        roles = (("requests", ""), ("errors", ""), ("latency", "_sum"), ("latency", "_count"))
        now = tuple(scrape.value(role, suffix) or 0.0 for role, suffix in roles)
        if watch.past and now[0] < watch.past[-1][1]:
            watch.past.clear()  # another process: its counters begin again
        watch.past.append((scrape.at, now[0], now[1], now[2], now[3]))
        while watch.past[0][0] < scrape.at - WINDOW_MS:
            watch.past.popleft()
        first = watch.past[0]
        return now[0] - first[1], now[1] - first[2], now[2] - first[3], now[3] - first[4]

    def _alert(self, scrape: Scrape, name: str, severity: str, summary: str) -> Alert:
        return Alert(name, severity, scrape.target.labels, summary)

    def _hold(self, watch: _Watch, true: list[Alert]) -> list[Alert]:
        watch.held = {alert.name: watch.held.get(alert.name, 0) + 1 for alert in true}
        return [alert for alert in true if watch.held[alert.name] >= (DOWN_HOLD if alert.name == "TargetDown" else HOLD)]


@dataclass(slots=True)
class _Group:
    since: dict[str, int] = field(default_factory=dict)  # fingerprint → when it began to fire
    firing: dict[str, Alert] = field(default_factory=dict)
    sent_at: int = 0


class Alertmanager:
    """Groups by alert name; tells at once what begins or ends, and repeats what goes on."""

    def __init__(self) -> None:
        self._groups: dict[str, _Group] = {}

    def update(self, now: int, firing: Iterable[Alert]) -> list[dict[str, Any]]:
        """Take what fires now; return the webhook bodies that are due."""
        by_name: dict[str, dict[str, Alert]] = {name: {} for name in self._groups}
        for alert in firing:
            by_name.setdefault(alert.name, {})[alert.fingerprint] = alert
        bodies = []
        for name, alerts in by_name.items():
            group = self._groups.setdefault(name, _Group())
            ended = {key: alert for key, alert in group.firing.items() if key not in alerts}
            begun = [key for key in alerts if key not in group.firing]
            for key in begun:
                group.since[key] = now
            group.firing = alerts
            if begun or ended or (alerts and now - group.sent_at >= REPEAT_MS):
                group.sent_at = now
                bodies.append(_body(name, group, ended, now))
            for key in ended:
                del group.since[key]
        return bodies


def _body(name: str, group: _Group, ended: dict[str, Alert], now: int) -> dict[str, Any]:
    alerts = [_entry(alert, group.since[key], None) for key, alert in group.firing.items()]
    alerts += [_entry(alert, group.since[key], now) for key, alert in ended.items()]
    common = dict(set.intersection(*(set(alert["labels"].items()) for alert in alerts)))
    summaries = {alert["annotations"]["summary"] for alert in alerts}
    return {
        "version": "4",
        "groupKey": f'{{}}:{{alertname="{name}"}}',
        "truncatedAlerts": 0,
        "status": "firing" if group.firing else "resolved",
        "receiver": NAME,
        "groupLabels": {"alertname": name},
        "commonLabels": common,
        "commonAnnotations": {"summary": summaries.pop()} if len(summaries) == 1 else {},
        "externalURL": f"http://{NAME}.invalid",
        "alerts": alerts,
    }


def _entry(alert: Alert, since: int, ended: int | None) -> dict[str, Any]:
    return {
        "status": "firing" if ended is None else "resolved",
        "labels": alert.all_labels,
        "annotations": {"summary": alert.summary},
        "startsAt": _rfc3339(since),
        "endsAt": STILL_FIRING if ended is None else _rfc3339(ended),
        "generatorURL": f"http://{NAME}.invalid/graph?g0.expr={alert.name}",
        "fingerprint": alert.fingerprint,
    }


def _rfc3339(at: int) -> str:
    return datetime.fromtimestamp(at / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
