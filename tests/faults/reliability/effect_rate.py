"""Let one effector of the control role perform so many intents over a recording target, in a process of its own.

Prints `{"seconds": …, "performed": …, "asked": …, "told": …}`: from the first request to the last result on the log; how many intents the
target has seen, how many requests that took, and how many results stand on the log that say that it was done.
Run as: python -m tests.faults.reliability.effect_rate BOOTSTRAP execute|tell|llm COUNT FOLDER
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition

from agents import tell
from agents.execute import Execute, Sides, Standing, live_views
from agents.execute.executors.base import Answer, Description, Status
from agents.reason.llm.anthropic_explainer import AnthropicExplainer
from agents.reason.llm.effector import LlmEffector
from cli import logs
from cli.wiring import elapsed_ms, now_ms
from models.execution.params import predict
from schemas import topics
from schemas.actions import ActionSpec
from schemas.base import derive_id
from schemas.config.policy import Policy
from schemas.kinds import ActionName, Mode, Severity
from schemas.outcomes import Notice, NoticeKind
from streams.harness.emit import emit
from streams.harness.kafka import KafkaSettings
from streams.harness.stage import Effector, Output
from tests.acting_world import CLUSTER, World, arming, proposal
from tests.faults.ledger import read_all
from tests.faults.points.gate import Receiver
from tests.faults.points.groups import until
from tests.faults.serving import serving
from tests.llm_server import LlmServer

WITHIN_S = 600.0
COMMITTED_WITHIN_S = 60.0
STARTING = {KafkaError.COORDINATOR_LOAD_IN_PROGRESS, KafkaError.COORDINATOR_NOT_AVAILABLE, KafkaError.NOT_COORDINATOR}
HOUR_MS = 3_600_000
# No bound is met: the work of an action is the same, and the logs need not be kept fresh meanwhile.
LONG = {"evidence_s": 3600, "lag_s": 3600, "skew_s": 3600}
POLICY = Policy.model_validate({"acting": LONG, "lease": {"hold_s": 3600}, "budget": {"live_per_hour": 1_000_000}})
FACTS = {"workers": 2, "release": "v1"}


@dataclass
class Target:
    """Does what it is asked, at once, and remembers how often it was asked for each action."""

    asked: Counter[str] = field(default_factory=Counter)

    async def describe(self, service: str) -> Description:
        del service
        return Description(known=True, facts=dict(FACTS))

    async def act(self, action: str, token: int, spec: ActionSpec) -> Answer:
        del token
        self.asked[action] += 1
        return Answer(Status.DONE, dict(FACTS), predict(dict(FACTS), spec))

    async def look_up(self, action: str, token: int) -> Answer:
        del token
        return Answer(Status.DONE if action in self.asked else Status.NOT_DONE)


@dataclass(frozen=True)
class Bench:
    """`effector` finds its intents on the log; `asked` are the requests so far by intent; `done` tells a result that says so."""

    effector: Effector
    asked: Callable[[], Counter[str]]
    done: Callable[[dict[str, Any]], bool]


def append(kafka: KafkaSettings, outputs: Iterator[Output]) -> None:
    producer = Producer({**kafka.confluent(), "linger.ms": 5})
    for output in outputs:
        producer.produce(output.topic, output.value, output.key, headers=list(output.headers))
        producer.poll(0)
    if producer.flush(60):
        raise RuntimeError("the log was not written")


def granted(count: int, now: int) -> World:
    """Return logs with grants of as many targets, each approved and armed, as approve and admit say."""
    world = World(POLICY)
    world.logs.now = now
    for number in range(count):
        spec = ActionSpec(action=ActionName.RESTART, service=f"s{number}")
        world.approved(proposal(f"inc-{number}", spec=spec, undo=None, at=now, expires_at=now + HOUR_MS))
    world.logs.write(topics.APPROVALS.name, arming(until=now + HOUR_MS, name="long"))
    world.settle()
    return world


@contextlib.contextmanager
def executing(kafka: KafkaSettings, count: int) -> Iterator[Bench]:
    world = granted(count, now_ms())
    for topic in (topics.INCIDENTS.name, topics.APPROVALS.name, topics.ACTIONS.name):
        append(kafka, (Output(topic, record.key, record.value, record.headers) for record in world.logs.records[topic]))
    _begin_at_the_beginning(kafka, Execute.name, topics.ACTIONS.name)
    sides, target = Sides(POLICY), Target()
    standing = Standing(owner="rate", cluster=CLUSTER, dry_run_mode=False, call_timeout_s=1.0)
    execute = Execute(sides, live_views(kafka, sides), {Mode.LIVE: target}, standing, now_ms, elapsed_ms)
    yield Bench(execute, lambda: target.asked, lambda told: told["type"] == "finished" and told["status"] == "succeeded")


def _begin_at_the_beginning(kafka: KafkaSettings, name: str, topic: str) -> None:
    """Commit the log's beginning: without an offset it would wait to be armed, and begin at the end."""
    consumer = Consumer({**kafka.confluent(), "group.id": f"airra-{name}", "enable.auto.commit": False})

    def committed() -> bool:
        try:
            consumer.commit(offsets=[TopicPartition(topic, 0, 0)], asynchronous=False)
        except KafkaException as error:
            if error.args[0].code() not in STARTING:
                raise
            return False  # a broker that has just started looks for its groups
        return True

    until(committed, COMMITTED_WITHIN_S, f"the beginning of {topic} is committed")
    consumer.close()


@contextlib.contextmanager
def telling(kafka: KafkaSettings, count: int) -> Iterator[Bench]:
    def notices() -> Iterator[Output]:
        for number in range(count):
            told = f"inc-{number}", Severity.WARNING, "orders is slow", "it is slow", now_ms()
            names = ("incident", "severity", "title", "text", "at")
            fields = dict(zip(names, told, strict=True))
            yield emit(topics.NOTICES, f"inc-{number}", Notice(id=derive_id("ntc", number), kind=NoticeKind.ESCALATED, **fields))

    append(kafka, notices())
    with Receiver() as receiver:
        effector = tell.effector(receiver.url, 5.0, line=lambda _: None)
        webhook = lambda told: told["type"] == "delivery" and (told["receiver"], told["status"]) == ("webhook", "delivered")  # noqa: E731
        yield Bench(effector, lambda: receiver.told, webhook)


@contextlib.contextmanager
def explaining(kafka: KafkaSettings, count: int) -> Iterator[Bench]:
    titled = {f"inc-{number}": f"number {number} is slow" for number in range(count)}  # by its title the question is told from the others
    made = (proposal(name, title=title, at=now_ms(), expires_at=now_ms() + HOUR_MS) for name, title in titled.items())
    append(kafka, (emit(topics.APPROVALS, one.id, one) for one in made))
    with LlmServer() as llm:
        llm.answer["order"] = [0]
        effector = LlmEffector(AnthropicExplainer("sk-test", "claude-test", llm.url, 10.0), now_ms)
        asked = lambda: Counter(json.dumps(body["messages"]) for _, body in llm.requests)  # noqa: E731
        yield Bench(effector, asked, lambda told: told["type"] == "explanation" and told["status"] == "ok")


BENCHES = {"execute": executing, "tell": telling, "llm": explaining}


async def perform(kafka: KafkaSettings, folder: Path, bench: Bench) -> float:
    """Return the seconds from the first request until nothing is pending any more."""
    deadline = time.monotonic() + WITHIN_S
    async with serving(kafka, folder, effectors=[bench.effector]):
        while not bench.asked():
            await _look_again(deadline)
        begun = time.monotonic()
        while bench.effector.pending():
            await _look_again(deadline)
        return time.monotonic() - begun


async def _look_again(deadline: float) -> None:
    if time.monotonic() > deadline:
        raise RuntimeError("intents are pending still")
    await asyncio.sleep(0.005)


def main() -> None:
    bootstrap, name, count, folder = sys.argv[1:]
    logs.configure("warning", "control")
    kafka = KafkaSettings(bootstrap)
    with BENCHES[name](kafka, int(count)) as bench:
        seconds = asyncio.run(perform(kafka, Path(folder), bench))
        asked = bench.asked()
    told = [json.loads(record.value) for record in read_all(bootstrap, bench.effector.topic)]
    print(json.dumps({"seconds": seconds, "performed": len(asked), "asked": asked.total(), "told": sum(map(bench.done, told))}))


if __name__ == "__main__":
    main()
