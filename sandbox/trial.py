"""Do a fault, watch what moves, do its cure, watch what comes back: for whoever writes a scenario. Needs no broker."""

from __future__ import annotations

import asyncio
import json
import secrets
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sandbox.kafka import ALERTS
from sandbox.kinds import KINDS, SILENCE
from sandbox.parent import go_first
from sandbox.plan import Plan
from sandbox.run import cpu_seconds
from sandbox.scenario import Fault, Scenario
from sandbox.scrape import Scrape
from sandbox.symptoms import Table, callers_of, loudest, moved, table, workers_wanted
from sandbox.system import Sandbox
from sandbox.web.client import Client

SYMPTOM_S, LAST_S = 25, 8  # how long the fault is watched, and the part of it that is shown
CURE_S = 15


@dataclass
class Watcher:
    """Collects the scrapes, and stands in for Kafka."""

    scrapes: list[list[Scrape]] = field(default_factory=list)
    alerts: list[str] = field(default_factory=list)

    def publish(self, topic: str, key: str, value: dict[str, Any]) -> None:
        if topic == ALERTS and value["status"] == "firing":
            known = {scrape.target.service for scrape in self.scrapes[-1]} if self.scrapes else set()
            services = {text for alert in value["alerts"] for text in alert["labels"].values() if text in known}
            self.alerts.append(f"{key}({','.join(sorted(services))})")

    def poll(self) -> None:
        return

    def close(self) -> None:
        return

    def over(self, last: int) -> Table:
        """Return what the last scrapes show."""
        return table(self.scrapes[-last:])


def trial(scenario: Scenario, faults: list[Fault], *, seed: int, base_s: float) -> int:
    """Try each fault on a system of its own; print what moved. Return 0 when each did what its kind says."""
    go_first()
    results = [asyncio.run(_try(scenario, fault, seed, base_s)) for fault in faults]
    return 0 if all(results) else 1


async def _try(scenario: Scenario, fault: Fault, seed: int, base_s: float) -> bool:
    watcher = Watcher()
    began, used = time.monotonic(), cpu_seconds()
    token = secrets.token_urlsafe()
    with tempfile.TemporaryDirectory() as work:
        sandbox = Sandbox(scenario, seed=seed, work=Path(work), token=token, publisher=watcher, seen=watcher.scrapes.append)
        try:
            await sandbox.start()
            await sandbox.open_doors()
            await asyncio.sleep(base_s)
            base = watcher.over(int(base_s * 0.7))
            service = await sandbox.inject(fault)
            cure = KINDS[fault.kind].cure
            print(f"\n{scenario.name}/{fault.label}: {fault.kind} at {service}", flush=True)
            await asyncio.sleep(10)
            print(_shown("after 10 s", base, watcher.over(LAST_S)), flush=True)
            await asyncio.sleep(SYMPTOM_S - 10)
            sick = watcher.over(LAST_S)
            print(_shown(f"after {SYMPTOM_S} s", base, sick), flush=True)
            print(_loudest(sandbox.plan.scenario, service, base, sick), flush=True)
            print(f"  alerts: {', '.join(dict.fromkeys(watcher.alerts)) or 'none'}", flush=True)
            if cure == SILENCE:
                return not moved(base, sick) and not watcher.alerts
            if cure == "none":
                return bool(moved(base, sick))
            status = await _cure(sandbox, token, sandbox.plan, cure, service, base, sick)
            await asyncio.sleep(CURE_S)
            well = watcher.over(LAST_S)
            print(_shown(f"{CURE_S} s after {cure} ({status})", base, well) or "  all back", flush=True)
            return bool(moved(base, sick)) and not moved(base, well)
        finally:
            await sandbox.stop()
            print(f"  cpu {(cpu_seconds() - used) / (time.monotonic() - began):.2f} cores", flush=True)


async def _cure(sandbox: Sandbox, token: str, plan: Plan, cure: str, service: str, base: Table, sick: Table) -> int:
    target = sandbox.targets[service]
    workers = plan.services[service].service.workers
    params: dict[str, dict[str, Any]] = {
        "scale_up": {"workers": workers_wanted(base, sick, service, workers)},
        "rollback": {"to": target.previous_release},
        "toggle_feature_flag": {"flag": target.slow_flag, "enabled": False},
    }
    body = json.dumps({"action": cure, "service": service, "params": params.get(cure, {})}).encode()
    headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": "trial", "Fencing-Token": "1"}
    host, _, port = sandbox.control_url.removeprefix("http://").partition(":")
    status, _body = await Client().request(host, int(port), "POST", "/actions", headers=headers, body=body, timeout_s=15)
    return status


def _shown(title: str, base: Table, now: Table) -> str:
    lines = [f"  {title}: {'nothing moved' if not moved(base, now) else ''}"]
    for (service, what), (before, value) in sorted(moved(base, now).items(), key=lambda item: item[0]):
        lines.append(f"    {service:<12} {what:<8} {before:8.3f} → {value:8.3f}")
    return "\n".join(lines)


def _loudest(scenario: Scenario, guilty: str, base: Table, sick: Table) -> str:
    found = loudest(base, sick)
    if found is None:
        return "  loudest symptom: none"
    service, what, times = found
    callers = callers_of(scenario, guilty)
    whose = "the guilty service" if service == guilty else "a caller of it" if service in callers else "another service"
    return f"  loudest symptom: {what} of {service}, {times:.0f} times the ordinary: {whose}"
