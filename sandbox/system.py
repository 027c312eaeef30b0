"""The whole system: services, users, control plane, scraper, alert rules, as one thing that starts and stops."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sandbox import files
from sandbox.alerts import Alertmanager, Rules
from sandbox.channel import Child
from sandbox.control.actions import Change
from sandbox.control.api import ControlApi
from sandbox.control.ledger import Ledger
from sandbox.control.target import Target
from sandbox.inject import System, inject
from sandbox.kafka import ALERTS, CHANGES, METRICS, Publisher
from sandbox.plan import Plan, callees_first, make, miss_ms
from sandbox.scenario import METRIC_NAMES, Fault, Scenario
from sandbox.scrape import Scrape, Scraper, ScrapeTarget, messages
from sandbox.spec import CacheSpec, CallSpec, Condition, DatabaseSpec, LoadSpec, ServiceSpec, Stream
from sandbox.web.server import Server, reserve

HOST = "127.0.0.1"
STOP_S = 1.0


@dataclass(frozen=True, slots=True)
class Paths:
    """The files of one run."""

    work: Path

    @property
    def topology(self) -> Path:
        return self.work / "topology.yaml"

    @property
    def metrics(self) -> Path:
        return self.work / "metrics.yaml"

    @property
    def log(self) -> Path:
        return self.work / "effects.jsonl"

    @property
    def output(self) -> Path:
        return self.work / "output"  # what the processes write on standard error


def file_name(service: str, ending: str) -> str:
    """Name a service's own file; its name may hold what a file's name may not."""
    return f"{quote(service, safe='')}.{ending}"


def now_ms() -> int:
    return int(time.time() * 1000)


class Sandbox:
    """Builds everything from a scenario; every part is on 127.0.0.1 and in the work folder."""

    def __init__(
        self,
        scenario: Scenario,
        *,
        seed: int,
        work: Path,
        token: str,
        publisher: Publisher,
        seen: Callable[[list[Scrape]], None] = lambda _: None,
        test_hooks: bool = False,
    ) -> None:
        self.paths = Paths(work)
        self.plan: Plan = make(scenario)
        self.first_request = asyncio.Event()
        self.first_request_at = 0.0  # on the monotonic clock
        self._seed = seed
        self._publisher = publisher
        self._also_seen = seen
        self.paths.output.mkdir(parents=True, exist_ok=True)
        files.write(self.paths.topology, files.topology(scenario))
        files.write(self.paths.metrics, files.mapping(scenario))
        self._ports: dict[str, socket.socket] = {service.name: reserve(HOST) for service in scenario.services}
        self.targets = {name: self._target(name) for name in callees_first(scenario)}
        self._api = ControlApi(self.targets, Ledger(self.paths.log), token, self._publish_change, test_hooks=test_hooks)
        self._server = Server(self._api.handle)
        self._rules = Rules({name: plan.ordinary_s for name, plan in self.plan.services.items()})
        self._alertmanager = Alertmanager()
        self._scraper = Scraper([self._scrape_target(name) for name in self.targets], self._seen)
        self._scraping: asyncio.Task[None] | None = None
        self._load: Child | None = None
        self.control_url = ""

    async def start(self) -> None:
        """Start everything; users come in when it is ready."""
        self.control_url = f"http://{HOST}:{await self._server.listen(HOST, 0)}"
        await asyncio.gather(*(target.start() for target in self.targets.values()))
        self._scraping = asyncio.create_task(self._scraper.run())
        self._load = await Child.start("load", "sandbox.load", self._load_spec(), self.paths.output / "load.log", self._load_said)

    async def open_doors(self) -> None:
        """Let the users in."""
        if self._load is not None:
            await self._load.ask("go")

    async def inject(self, fault: Fault) -> str:
        """Make a fault happen; return the service it happened to."""
        assert self._load is not None  # noqa: S101 - started
        return await inject(System(self.plan, self.targets, self._load, self._publish_change, now_ms), fault)

    async def stop(self) -> None:
        """Stop the users first, then the services."""
        if self._load is not None:
            await self._load.stop(STOP_S)
        await self._server.drain(STOP_S)
        if self._scraping is not None:
            self._scraping.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._scraping
        await self._api.close()
        await asyncio.gather(*(target.stop() for target in self.targets.values()))
        for port in self._ports.values():
            port.close()
        self._publisher.close()

    def _load_said(self, message: dict[str, Any]) -> None:
        if message["event"] == "first_request":
            self.first_request_at = time.monotonic()
            self.first_request.set()

    def _publish_change(self, change: Change) -> None:
        self._publisher.publish(CHANGES, change["service"], change)

    def _seen(self, scrapes: list[Scrape]) -> None:
        for scrape in scrapes:
            for message in messages(scrape):
                self._publisher.publish(METRICS, scrape.target.instance, message)
        firing = [alert for scrape in scrapes for alert in self._rules.observe(scrape)]
        for body in self._alertmanager.update(now_ms(), firing):
            self._publisher.publish(ALERTS, body["groupLabels"]["alertname"], body)
        self._publisher.poll()
        self._also_seen(scrapes)

    def _port(self, name: str) -> int:
        return int(self._ports[name].getsockname()[1])

    def _labels(self, name: str) -> dict[str, str]:
        scenario = self.plan.scenario
        service = scenario.service(name)
        values = {"service": name, "instance": f"{HOST}:{self._port(name)}"}
        return {scenario.label_name(service, "service"): values["service"], scenario.label_name(service, "instance"): values["instance"]}

    def _names(self, name: str) -> dict[str, str]:
        scenario = self.plan.scenario
        return {role: scenario.metric_name(scenario.service(name), role) for role in METRIC_NAMES}

    def _target(self, name: str) -> Target:
        plan = self.plan.services[name]
        service = plan.service
        spec = ServiceSpec(
            name=name,
            host=HOST,
            port=self._port(name),
            seed=f"{self._seed}:{name}",
            parent=os.getpid(),
            workers=service.workers,
            worker_cpu=plan.worker_cpu,
            cpu_s=plan.cpu_s,
            work_s=service.work_ms / 1000,
            calls=tuple(CallSpec(c.to, HOST, self._port(c.to), c.per_request, c.timeout_ms / 1000) for c in service.calls),
            metric_names=self._names(name),
            labels=self._labels(name),
            condition=Condition(),
            database=DatabaseSpec(str(self.paths.work / file_name(name, "db")), service.database.pool, service.database.query_ms / 1000)
            if service.database
            else None,
            cache=CacheSpec(service.cache.hit_ratio, miss_ms(service) / 1000) if service.cache else None,
        )
        return Target(spec, service.release, self.plan.scenario.flags(service), self.paths.output / file_name(name, "log"))

    def _scrape_target(self, name: str) -> ScrapeTarget:
        return ScrapeTarget(name, HOST, self._port(name), self._labels(name), self._names(name))

    def _load_spec(self) -> LoadSpec:
        load = self.plan.scenario.load
        entries = self.plan.scenario.entries()
        streams = tuple(Stream(HOST, self._port(name), "/", load.rps / len(entries)) for name in entries)
        return LoadSpec(f"{self._seed}:load", os.getpid(), load.rhythm_s, self.plan.swing, load.noise, streams)
