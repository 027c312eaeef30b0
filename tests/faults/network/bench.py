"""The loop with a proxy before everything that control, sink and api talk to: broker, store, LLM, target, receiver."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from schemas import topics
from tests.faults.kill_loop import TABLES
from tests.faults.ledger import read_all
from tests.faults.network.loop import DONE_WITHIN_S, EVERY_S, ROLES, LoopBench
from tests.faults.network.moving import behind
from tests.kafka.broker import KafkaBroker
from tests.llm_server import LlmServer
from tests.network.clickhouse import ClickHouseServer
from tests.network.recorder import Heard, Recorder
from tests.network.toxiproxy import Proxy, Toxiproxy

EXECUTOR_TIMEOUT_S = 3.0
WEBHOOK_TIMEOUT_S = 1.5
LLM_TIMEOUT_S = 4.0
CAUGHT_UP_S = 60.0
LOGS = (topics.INCIDENTS, topics.APPROVALS, topics.ACTIONS, topics.OUTCOMES, topics.NOTICES)


@dataclass(frozen=True)
class Trouble:
    """What is done to the way, when it begins and how long it lasts."""

    begin: Callable[[], None]
    end: Callable[[], None]
    lasts_s: float | None  # None: until the outcome is there
    early: bool = False  # with the incident, else with its proposal
    heard: Callable[[Heard], bool] | None = None  # or when the target hears this, before it answers
    role: str | None = None  # whose way it is, where it is one to the broker


class Spell:
    """One trouble as it passes: it begins once and ends once."""

    def __init__(self, trouble: Trouble) -> None:
        self._trouble = trouble
        self._once = threading.Lock()
        self.born = time.monotonic()
        self.began: float | None = None
        self.ended: float | None = None

    @property
    def nearly_over(self) -> bool:
        lasts_s = self._trouble.lasts_s
        return self.began is not None and self.ended is None and lasts_s is not None and time.monotonic() - self.began > 0.8 * lasts_s

    @property
    def goes_on(self) -> bool:
        """Tell whether it has its own time, and that is not over."""
        return self.began is not None and self.ended is None and self._trouble.lasts_s is not None

    @property
    def over_for_s(self) -> float:
        return time.monotonic() - (self.ended or self.began or self.born)

    def begin(self) -> None:
        with self._once:
            if self.began is None:
                self._trouble.begin()
                self.began = time.monotonic()

    def step(self) -> None:
        lasts_s = self._trouble.lasts_s
        if self.began is not None and lasts_s is not None and time.monotonic() - self.began >= lasts_s:
            self.end()

    def end(self) -> None:
        if self.began is not None and self.ended is None:
            self._trouble.end()
            self.ended = time.monotonic()


@dataclass
class Lived:
    """One incident with trouble in its course; seconds count from the end of the trouble."""

    key: str
    wrong: list[str] = field(default_factory=list)
    outcome_s: float = 0.0
    ready: dict[str, bool] = field(default_factory=dict)  # of the roles that nothing was done to, in the midst of it


class NetworkBench(LoopBench):
    """Use as a context. `kafka` leads to the broker's near port: only a role that is moved there goes through it."""

    def __init__(self, broker: KafkaBroker, toxiproxy: Toxiproxy, kafka: Proxy, folder: Path) -> None:
        super().__init__(broker.bootstrap, folder)
        self._toxiproxy = toxiproxy
        self._kafka_proxy = kafka
        self.proxies: dict[str, Proxy] = {"broker": kafka}
        self.questions = 0  # that the LLM had been asked when the trouble began

    def _start(self) -> None:
        self.store = self._exit.enter_context(ClickHouseServer(self._folder / "clickhouse"))
        self.llm = self._exit.enter_context(LlmServer())
        self.receiver = self._exit.enter_context(Recorder())
        for name, upstream in (("store", self.store.address), ("LLM", self.llm.url), ("receiver", self.receiver.address)):
            self.proxies[name] = self._toxiproxy.proxy(name, upstream.removeprefix("http://"))
        super()._start()

    def settings(self, control_url: str) -> dict[str, Any]:
        self.target = self._exit.enter_context(Recorder(control_url))
        self.proxies["target"] = self._toxiproxy.proxy("target", self.target.address)
        return {
            **super().settings(self.proxies["target"].url),
            "executor_timeout_s": EXECUTOR_TIMEOUT_S,
            "store_url": f"{self.proxies['store'].url}/default",
            "webhook_url": f"{self.proxies['receiver'].url}/notices",
            "webhook_timeout_s": WEBHOOK_TIMEOUT_S,
            "llm_api_key": "test-key",
            "llm_base_url": self.proxies["LLM"].url,
            "llm_timeout_s": LLM_TIMEOUT_S,
        }

    def move_behind_proxy(self, role: str) -> None:
        """Let this role, and no other, reach the broker through the proxy; returns when it is ready there."""
        behind(self.stack, role, self._kafka_proxy.address)

    def live(self, trouble: Trouble) -> Lived:
        """Live through one incident with trouble in its course; the target's log must show one effect, and the outcome be there."""
        patient = self.fresh()
        lived, spell, over = Lived(patient.key), Spell(trouble), threading.Event()
        with contextlib.ExitStack() as ending:
            ending.callback(spell.end)
            ending.callback(over.set)
            if trouble.early:
                spell.begin()
            if trouble.heard is not None:
                self.target.meanwhile = lambda heard: spell.begin() if trouble.heard and trouble.heard(heard) else None
                ending.callback(setattr, self.target, "meanwhile", lambda _: None)
            asked, reached = False, None
            while (reached is None or spell.goes_on) and spell.over_for_s < DONE_WITHIN_S + (trouble.lasts_s or 0.0):
                self.step(patient)
                if reached is None and lived.key in self.seen.outcomes:
                    reached = time.monotonic()
                if not asked and lived.key in self.seen.proposals:
                    if trouble.heard is None:
                        spell.begin()
                    threading.Thread(target=self._insist, args=(lived.key, over), daemon=True).start()
                    asked = True
                if spell.nearly_over and not lived.ready:
                    lived.ready = {name: self.stack._ready(name, {}) for name in ROLES if name != trouble.role}
                spell.step()
                time.sleep(EVERY_S)
            spell.end()
            lived.outcome_s = max(0.0, (reached or time.monotonic()) - (spell.ended or spell.born))
        lived.wrong = self.over(patient)
        return lived

    def _insist(self, key: str, over: threading.Event) -> None:
        """Approve, again and again with the same idempotency key, until the API says that it is decided."""
        while not over.is_set() and not self.approve(self.seen.proposals[key]):
            over.wait(1.0)

    def explained(self, key: str) -> tuple[int, int]:
        """Return how many proposals the incident had, and how many explanations of them stand on the log."""
        records = [(record.header("airra.type"), json.loads(record.value)) for record in read_all(self._bootstrap, topics.APPROVALS.name)]
        proposals = {content["id"] for kind, content in records if kind == b"proposal" and content["incident"] == key}
        return len(proposals), sum(1 for kind, content in records if kind == b"explanation" and content["proposal"] in proposals)

    def until_told(self, key: str) -> tuple[float, dict[str, str]]:
        """Wait until every notice of the incident has a word of its delivery to the webhook; return the seconds and the words."""
        began = time.monotonic()
        while True:
            records = [(record.header("airra.type"), json.loads(record.value)) for record in read_all(self._bootstrap, topics.NOTICES.name)]
            told = {content["id"]: "" for kind, content in records if kind == b"notice" and content["incident"] == key}
            for kind, content in records:
                if kind == b"delivery" and content["receiver"] == "webhook" and content["notice"] in told:
                    told[content["notice"]] = content["status"]
            if all(told.values()) or time.monotonic() - began > CAUGHT_UP_S:
                return time.monotonic() - began, told
            time.sleep(0.3)

    def repeats(self) -> tuple[int, list[str]]:
        """Return how many records of the control logs stand twice with the same id, and which ids stand there with different bytes."""
        seen: dict[tuple[str, str, str], bytes] = {}
        twice, differing = 0, []
        for topic in LOGS:
            for record in read_all(self._bootstrap, topic.name):
                kind = (record.header("airra.type") or b"").decode()
                if kind == "tick" or record.header("airra.source") is not None:
                    continue
                key = (topic.name, kind, _id(record.value))
                twice += key in seen
                if seen.setdefault(key, record.value) != record.value:
                    differing.append(" ".join(key))
        return twice, differing

    def stored(self) -> tuple[int, int]:
        """Return how many records of the control logs the store lacks, and how many ids its readers see twice."""
        told: dict[str, set[str]] = {}
        for topic in LOGS:
            for record in read_all(self._bootstrap, topic.name):
                kind = (record.header("airra.type") or b"").decode()
                if kind in TABLES:
                    told.setdefault(kind, set()).add(_id(record.value))
        rows = {table: [row["id"] for row in self.store.query(f"SELECT id FROM {table} FINAL")] for table in set(TABLES.values())}
        missing = sum(len(ids - set(rows[TABLES[kind]])) for kind, ids in told.items())
        return missing, sum(len(ids) - len(set(ids)) for ids in rows.values())

    def until_stored(self) -> tuple[float, int, int]:
        """Wait until the store has everything; return the seconds, what is missing and what is double at the end."""
        began = time.monotonic()
        while True:
            missing, double = self.stored()
            took = time.monotonic() - began
            if not missing or took > CAUGHT_UP_S:
                return took, missing, double
            time.sleep(0.3)


def _id(value: bytes) -> str:
    found: str = json.loads(value)["id"]
    return found
