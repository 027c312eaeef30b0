"""The runner of effectors under strikes: intents on a log, a target that fences, and its own log as the truth.

One process is the victim; another is started when the victim sleeps, and takes over. Scenes: `work`; `join` (a second process comes);
`end` (SIGTERM); `armed` (the group has no offsets, and an operator must arm first); `gap` (the log ends with a transaction's marker);
`shorter` (the broker lost with its power what it had not written to its disk: the topic is the same, and its log is empty).
"""

from __future__ import annotations

import itertools
import json
import os
import signal
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from confluent_kafka import Producer

from cli.acting import arm
from schemas.topics import APPROVALS, DLQ
from streams.harness.kafka import KafkaSettings
from streams.harness.topics import NewLog, create_topics
from tests.faults.acting import Target
from tests.faults.ledger import read_all
from tests.faults.points.driving import SESSION_S, Family, Verdict
from tests.faults.points.groups import MOVED_WITHIN_S, Groups, plain_environment, python, until
from tests.faults.points.victim import Victim
from tests.kafka.broker import KafkaBroker

STEP_S = 0.25
WITHIN_S = 45.0
FINISHED_WITHIN_S = 60.0
PERFORMS = "before streams.harness.effector_runner:EffectorRunner._perform:self.effector.perform"
CONSTANTS = {
    "streams.harness.effector_runner:SESSION_TIMEOUT_MS": int(SESSION_S * 1000),
    "streams.harness.effector_runner:HEARTBEAT_MS": 800,
}
PLAIN = {"FAULT_SET": json.dumps(CONSTANTS)}  # of whoever is killed at the end of a scene: the next does not wait for its session
VICTIM = 1  # its instance: who joins comes before it in the order of names, and so gets the one partition
_counter = itertools.count()


class EffectorBench:
    def __init__(self, broker: KafkaBroker, folder: Path) -> None:
        self._broker = broker
        self._kafka = KafkaSettings(broker.bootstrap)
        self._folder = folder
        self._groups = Groups(broker.bootstrap)
        create_topics(self._kafka, [APPROVALS, DLQ])
        self._producer = Producer({"bootstrap.servers": broker.bootstrap, "enable.idempotence": True, "log_level": 0})
        self._done: list[Log] = []
        self._log = self._begun()
        self.victim = self._log.first

    def _begun(self, *, armed: bool = False) -> Log:
        """Begin with a log and a group of their own."""
        name = f"act-{os.getpid()}-{next(_counter)}"
        create_topics(self._kafka, [NewLog(name, 1, {})])
        return Log(name, armed, self._folder / name, self._broker.bootstrap)

    def live(self, scene: str, environment: Mapping[str, str], over: Callable[[], bool]) -> None:
        if scene in {"armed", "shorter"} or self._log.anew:  # on a log that is anew tokens are below what its target has seen
            self._done.append(self._log)
            self._log = self._begun(armed=scene == "armed")
            self._intend(old=scene == "armed")
        log, seen = self._log, Path(environment.get("FAULT_SEEN", self._folder / "seen"))
        log.slow(scene in {"join", "end"})  # a partition goes, or a process ends, with something running
        self.victim = log.first
        seen.unlink(missing_ok=True)
        log.first.start({"FAULT_SEEN": str(seen), **environment, **PLAIN})
        deadline, troubled = time.monotonic() + WITHIN_S, False
        while time.monotonic() < deadline and not over() and (log.first.running or log.first.stopped):
            if scene == "armed":
                arm(self._kafka, "bench", 3600)
            elif not (troubled and scene in {"gap", "shorter"}):
                self._intend()
            if not troubled and seen.exists() and PERFORMS in seen.read_text():
                troubled = True
                self._make_trouble(scene)
            time.sleep(STEP_S)

    def _make_trouble(self, scene: str) -> None:
        if scene == "join":
            self._log.second.start(PLAIN)
        elif scene == "end":
            self._log.first.signal(signal.SIGTERM)
        elif scene == "shorter":
            self._lose_the_log()
        elif scene == "gap":
            producer = Producer({"bootstrap.servers": self._broker.bootstrap, "transactional.id": self._log.name, "log_level": 0})
            producer.init_transactions(30)
            producer.begin_transaction()
            producer.produce(self._log.name, b'{"id": "none"}', partition=0)
            producer.flush(30)
            producer.abort_transaction(30)

    def _lose_the_log(self) -> None:
        """Kill the broker and take away what it wrote of the log: what was intended there is nobody's any more."""
        self._broker.kill()
        for file in (self._broker.folder / "logs" / f"{self._log.name}-0").iterdir():
            if file.name != "partition.metadata":  # of the topic's id
                file.unlink()
        self._broker.restart()
        self._log.wanted.clear()
        self._log.anew = True

    def _intend(self, *, old: bool = False) -> None:
        """Append an intent, and a record that nobody can read."""
        key = f"{'old' if old else 'new'}-{next(_counter)}"
        (self._log.old if old else self._log.wanted).add(key)
        self._producer.produce(self._log.name, json.dumps({"id": key}).encode(), key.encode(), headers=[("airra.type", b"intent")])
        if not old:
            self._producer.produce(self._log.name, b"{")
            self._log.poison += 1
        self._producer.flush(30)

    def bury(self) -> None:
        log = self._log
        if log.first.stopped:
            zombie = log.first.release()
            if not log.second.running:
                log.second.start(PLAIN)
            until(self._taken_over, MOVED_WITHIN_S + 10, "another takes the log over", self._go_on)
            zombie.send_signal(signal.SIGCONT)
            time.sleep(1.5)
            zombie.kill()
            zombie.wait()
        log.first.kill()
        log.second.kill()

    def _go_on(self) -> None:
        if self._log.armed:
            arm(self._kafka, "bench", 3600)
        time.sleep(0.2)

    def _taken_over(self) -> bool:
        return self._groups.without(f"airra-{self._log.name}", f"{self._log.name}-{VICTIM}")

    def judge(self) -> Verdict:
        """Let a plain process finish what was begun on every log, and read what the targets were asked."""
        logs = [*self._done, self._log]
        self._finish(logs)
        verdict = Verdict()
        letters = {
            (one.header("airra.error.topic"), one.header("airra.error.offset")) for one in read_all(self._broker.bootstrap, DLQ.name)
        }
        for log in logs:
            buried = sum(topic == log.name.encode() for topic, _ in letters)
            acted = log.asked("act")
            verdict.lost += len(log.wanted - log.finished(self._broker.bootstrap))
            verdict.lost += 0 if log.anew else log.poison - buried
            verdict.doubled += len(log.asked("again")) + len(acted) - len(set(acted))
            verdict.wrong += len(log.old & {*acted, *log.asked("lookup")})
        self._done, self._log = [], self._begun()
        self.victim = self._log.first
        return verdict

    def _finish(self, logs: list[Log]) -> None:
        """What an armed one wakes to is history, until an operator arms: then only what comes after is done."""
        for log in logs:
            log.slow(False)
            log.first.start()
        waiting = [log for log in logs if log.armed]

        def begun() -> bool:
            arm(self._kafka, "bench", 3600)
            waiting[:] = [log for log in waiting if not log.took_over(self._broker.bootstrap)]
            return not waiting

        until(begun, FINISHED_WITHIN_S, "all are armed", lambda: time.sleep(1.0))
        for log in logs:
            if log.armed:
                self._log = log
                self._intend()
        left = list(logs)

        def finished() -> bool:
            left[:] = [log for log in left if not log.wanted <= log.finished(self._broker.bootstrap)]
            return not left

        until(finished, FINISHED_WITHIN_S, "all that was intended is finished", lambda: time.sleep(0.5))
        for log in logs:
            log.first.kill()

    def close(self) -> None:
        for log in (*self._done, self._log):
            log.first.kill()
            log.second.kill()


class Log:
    """One log of intents with its target and its two processes."""

    def __init__(self, name: str, armed: bool, folder: Path, bootstrap: str) -> None:
        self.name, self.armed, self._folder = name, armed, folder
        self.old, self.wanted = set[str](), set[str]()
        self.poison = 0
        self.anew = False
        self._target = Target(folder / "target")
        self.first, self.second = (self._slot(number, folder, bootstrap) for number in (VICTIM, 0))

    def _slot(self, number: int, folder: Path, bootstrap: str) -> Victim:
        command: list[Any] = ["--bootstrap", bootstrap, "--instance", str(number), "--data", folder / f"data-{number}", "--trouble", folder]
        command += ["--effector", f"{self.name}:{self.name}:{self._target.folder}{':armed' if self.armed else ''}"]
        return Victim(python("tests.faults.points.worker", *command), plain_environment(), folder / f"process-{number}.log")

    def slow(self, wanted: bool) -> None:
        """Have whoever performs from now on take its time, or not."""
        file = self._folder / "slow"
        file.touch() if wanted else file.unlink(missing_ok=True)

    def asked(self, verb: str) -> list[str]:
        """Return the keys that the target was asked this of."""
        return [key for asked, key in self._target.requests() if asked == verb]

    def took_over(self, bootstrap: str) -> bool:
        return any(record.header("airra.type") == b"epoch" for record in read_all(bootstrap, self.name))

    def finished(self, bootstrap: str) -> set[str]:
        records = read_all(bootstrap, self.name)
        return {json.loads(record.value)["id"] for record in records if record.header("airra.type") == b"finished"}


FAMILY = Family(
    "effector",
    "the runner of effectors at every await, over a target that fences",
    owns=tuple(f"streams.harness.{name}:" for name in ("effector_runner", "beginning", "outbox", "standby", "arming", "closing")),
    scenes=("work", "join", "end", "armed", "gap", "shorter"),
    make=EffectorBench,
    shared=False,  # a scene kills the broker
    minutes={"kill": 5, "stop": 12},
    quiet_s={"shorter": 30.0},
    worked="after streams.harness.effector_runner:EffectorRunner._perform:self.effector.perform",
)
