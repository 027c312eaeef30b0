"""The API under strikes: people approve, and ask again with the same key until they are answered; the log is the truth.

Scenes: `decide`; `ahead` (the proposal that is asked about is not on the log yet).
"""

from __future__ import annotations

import itertools
import os
import secrets
import signal
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path

import httpx2

from api.client import ApiClient, ApiError
from cli import runfile
from cli.acting import append
from cli.processes import role_command, role_env
from cli.reading import read
from models.approvals import ApprovalBook, decision_of, fold
from schemas import topics
from schemas.approvals import APPROVAL_EVENTS, Command, Proposal
from schemas.config.policy import Policy
from schemas.kinds import Mode
from streams.harness.emit import emit, parse, position
from streams.harness.kafka import KafkaSettings
from streams.harness.topics import create_topics
from tests.acting_world import in_force, proposal
from tests.faults.points.driving import Family, Verdict
from tests.faults.points.groups import plain_environment, until
from tests.faults.points.victim import Victim
from tests.kafka.broker import KafkaBroker

WITHIN_S = 30.0
ANSWERED_WITHIN_S = 60.0
AWAKE_S = 2.0
_counter = itertools.count()


class ApiBench:
    def __init__(self, broker: KafkaBroker, folder: Path) -> None:
        self._kafka = KafkaSettings(broker.bootstrap)
        self._folder = folder
        self._token = secrets.token_urlsafe(24)
        create_topics(self._kafka, topics.CATALOGUE)
        said = in_force(Policy())
        append(self._kafka, emit(topics.APPROVALS, said.id, said))
        self.victim, self._second = self._slot("0"), self._slot("1")
        self._asked: list[Proposal] = []
        self._read = 0
        self._book = ApprovalBook()

    def _slot(self, instance: str) -> Victim:
        settings = {"kafka_bootstrap": self._kafka.bootstrap, "data_dir": self._folder / instance, "instance": instance}
        settings |= {"api_port": 0, "observe_port": 0, "api_tokens": f"ann:{self._token}"}
        return Victim(role_command("api"), role_env(settings, plain_environment()), self._folder / f"api-{instance}.log")

    def live(self, scene: str, environment: Mapping[str, str], over: Callable[[], bool]) -> None:
        self.victim.start(environment)
        deadline, ended = time.monotonic() + WITHIN_S, threading.Event()
        asking = self._person(scene, ended)
        while time.monotonic() < deadline and not over() and (self.victim.running or self.victim.stopped):
            if not asking.is_alive():
                asking = self._person(scene, ended)
            time.sleep(0.05)
        ended.set()

    def _person(self, scene: str, ended: threading.Event) -> threading.Thread:
        """Let somebody decide on a new proposal, asking until there is an answer."""
        now, number = int(time.time() * 1000), next(_counter)
        made = proposal(f"inc-{os.getpid()}-{number}", at=now, expires_at=now + 3_600_000)
        self._asked.append(made)
        if scene != "ahead":
            append(self._kafka, emit(topics.APPROVALS, made.id, made))

        def decide() -> None:
            while self._ask("0", made) is None and scene != "ahead" and not ended.is_set():
                ended.wait(0.1)
            ended.wait(0.3)

        person = threading.Thread(target=decide, daemon=True)
        person.start()
        return person

    def _ask(self, instance: str, made: Proposal) -> str | None:
        """Approve once; return the decision's id, None for no answer, or for one that says to ask again."""
        found = runfile.read(self._folder / instance, "api")
        if found is None:
            return None
        try:
            with ApiClient(f"http://127.0.0.1:{found['api_port']}", self._token) as api:
                return api.approve(made.id, "ann", Mode.LIVE, key=made.id).decision.id
        except (ApiError, httpx2.HTTPError, OSError, RuntimeError):
            return None

    def bury(self) -> None:
        if self.victim.stopped:
            zombie = self.victim.release()
            self._second.start()
            last = self._asked[-1]
            if not any(one.id == last.id for one in self._proposals()):
                append(self._kafka, emit(topics.APPROVALS, last.id, last))
            until(lambda: self._ask("1", last) is not None, ANSWERED_WITHIN_S, "another API decides")
            zombie.send_signal(signal.SIGCONT)
            time.sleep(AWAKE_S)
            zombie.kill()
            zombie.wait()
            self._second.kill()
        self.victim.kill()

    def _proposals(self) -> list[Proposal]:
        events = (parse(APPROVAL_EVENTS, record) for record in read(self._kafka, topics.APPROVALS.name))
        return [event for event in events if isinstance(event, Proposal)]

    def judge(self) -> Verdict:
        """Ask again until every question has its answer; each must be what a linear replay of the log decides."""
        self.victim.start()
        there = {one.id for one in self._proposals()}
        for made in self._asked:
            if made.id not in there:
                append(self._kafka, emit(topics.APPROVALS, made.id, made))
        answers: dict[str, str] = {}

        def answered() -> bool:
            for made in self._asked:
                if made.id not in answers and (answer := self._ask("0", made)) is not None:
                    answers[made.id] = answer
            return len(answers) == len(self._asked)

        until(answered, ANSWERED_WITHIN_S, "every question is answered")
        self.victim.kill()
        commands: dict[str, set[str]] = defaultdict(set)
        for record in read(self._kafka, topics.APPROVALS.name):
            if record.offset < self._read:
                continue
            event = parse(APPROVAL_EVENTS, record)
            fold(self._book, event, record.timestamp, position(record))
            if isinstance(event, Command):
                commands[event.proposal].add(event.id)
            self._read = record.offset + 1
        decided = {made.id: decision_of(self._book, made.id) for made in self._asked}
        verdict = Verdict(
            lost=sum(decision is None for decision in decided.values()),
            doubled=sum(len(commands[name]) > 1 for name in decided),
            wrong=sum(decision is not None and decision.id != answers[name] for name, decision in decided.items()),
        )
        self._asked = []
        return verdict

    def close(self) -> None:
        self.victim.kill()
        self._second.kill()


FAMILY = Family(
    "api",
    "the API at every await of a decision, while a person asks with the same key until it answers",
    owns=("api.", "streams.harness.view:LogView.wait_for"),
    scenes=("decide", "ahead"),
    make=ApiBench,
    shared=False,
    minutes={"kill": 4, "stop": 6},
    lanes=1,
)
