"""The loop with a proxy before everything that control, sink and api talk to: broker, store, LLM, target, receiver."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import threading
import time
from collections.abc import Container
from pathlib import Path
from typing import Any

from cli.conserve.logs import LiveLogs
from cli.settings import read_settings
from cli.wiring import folds
from schemas import topics
from streams.harness.stage import Record
from tests.faults.kill_loop import TABLES
from tests.faults.ledger import read_all
from tests.faults.network.counted import Counted, counted
from tests.faults.network.loop import DONE_WITHIN_S, EVERY_S, ROLES, LoopBench
from tests.faults.network.moving import behind
from tests.faults.network.repeats import stand_twice, unaccounted, under_other_ids
from tests.faults.network.trouble import Lived, Spell, Trouble
from tests.kafka.broker import KafkaBroker
from tests.llm_server import LlmServer
from tests.network.clickhouse import ClickHouseServer
from tests.network.recorder import Heard, Recorder
from tests.network.toxiproxy import Toxiproxy

EXECUTOR_TIMEOUT_S = 3.0
WEBHOOK_TIMEOUT_S = 1.5
LLM_TIMEOUT_S = 4.0
LLM_KEY = "test-key"
LOOK_S = 0.05  # how soon it is seen that a record stands on its log
CAUGHT_UP_S = 60.0
LOGS = (topics.INCIDENTS, topics.APPROVALS, topics.ACTIONS, topics.OUTCOMES, topics.NOTICES)


class NetworkBench(LoopBench):
    """Use as a context. `kafka` leads to the broker's near port: only a role that is moved there goes through it."""

    def __init__(self, broker: KafkaBroker, toxiproxy: Toxiproxy, kafka: Counted, folder: Path) -> None:
        super().__init__(broker.bootstrap, folder)
        self._toxiproxy = toxiproxy
        self._kafka_proxy = kafka
        self.proxies: dict[str, Counted] = {"broker": kafka}
        self.questions = 0  # that the LLM had been asked when the trouble began

    def _start(self) -> None:
        self.store = self._exit.enter_context(ClickHouseServer(self._folder / "clickhouse"))
        self.llm = self._exit.enter_context(LlmServer())
        self.receiver = self._exit.enter_context(Recorder())
        for name, upstream in (("store", self.store.address), ("LLM", self.llm.url), ("receiver", self.receiver.address)):
            self._put_between(name, upstream.removeprefix("http://"))
        super()._start()

    def settings(self, control_url: str) -> dict[str, Any]:
        self.target = self._exit.enter_context(Recorder(control_url))
        self._put_between("target", self.target.address)
        return {
            **super().settings(self.proxies["target"].url),
            "executor_timeout_s": EXECUTOR_TIMEOUT_S,
            "store_url": f"{self.proxies['store'].url}/default",
            "webhook_url": f"{self.proxies['receiver'].url}/notices",
            "webhook_timeout_s": WEBHOOK_TIMEOUT_S,
            "llm_api_key": LLM_KEY,
            "llm_base_url": self.proxies["LLM"].url,
            "llm_timeout_s": LLM_TIMEOUT_S,
        }

    def _put_between(self, name: str, upstream: str) -> None:
        self.proxies[name] = self._exit.enter_context(counted(self._toxiproxy, name, upstream))

    def move_behind_proxy(self, role: str) -> None:
        """Let this role, and no other, reach the broker through the proxy; returns when it is ready there."""
        behind(self.stack, role, self._kafka_proxy.address)

    def live(self, trouble: Trouble) -> Lived:
        """Live through one incident with trouble in its course; the target's log must show one effect, and the outcome be there."""
        patient = self.fresh()
        lived, spell, over, stepped = Lived(patient.key), Spell(trouble, patient.key), threading.Event(), 0.0
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
                if time.monotonic() - stepped >= EVERY_S:
                    self.step(patient)
                    stepped = time.monotonic()
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
                time.sleep(LOOK_S)
            spell.end()
            lived.outcome_s = max(0.0, (reached or time.monotonic()) - (spell.ended or spell.born))
        lived.wrong = self.over(patient) + ([] if spell.met else ["the fault did not fall where the case says"])
        return lived

    def granted(self, key: str) -> bool:
        """Say whether an action of this incident stands granted on the log."""
        return any(grant.incident == key for grant in self.seen.grants.values())

    def kill(self, role: str) -> None:
        """SIGKILL; the supervisor starts it again."""
        assert self.stack.supervisor is not None
        pid = self.stack.supervisor.pid(role)
        assert pid is not None, f"{role} does not run"
        os.kill(pid, signal.SIGKILL)

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
            if (told and all(told.values())) or time.monotonic() - began > CAUGHT_UP_S:
                return time.monotonic() - began, told
            time.sleep(0.3)

    def heard_of(self, notices: Container[str]) -> list[Heard]:
        """Return what the receiver heard of these notices."""
        return [one for one in self.receiver.heard if one.key in notices]

    def repeats(self) -> tuple[int, list[str]]:
        """Return how many records of the control logs stand twice with the same id, and what differs or stands under another id."""
        records = self._records()
        twice, differing = stand_twice(records)
        return twice, differing + under_other_ids(records)

    def unaccounted(self) -> list[str]:
        """Return what does not add up when every control log is folded again, with what the roles were told."""
        told = read_settings(config_dir=self.config, llm_api_key=LLM_KEY, llm_timeout_s=LLM_TIMEOUT_S)
        return unaccounted(LiveLogs(self.stack.kafka), folds(told))

    def _records(self) -> list[Record]:
        return [record for topic in LOGS for record in read_all(self._bootstrap, topic.name)]

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
