"""The whole loop over the live sandbox, on Apache Kafka; then every stage replayed from the recorded topics."""

from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, TopicPartition

from cli import reading
from cli.demo.command import DEFAULT_SCENARIO, ROOT
from cli.demo.run import Plan, Run
from cli.demo.sandbox import faults
from cli.demo.story import met
from cli.settings import read_settings
from cli.wiring import Parts, control, dedup, detect
from schemas.kinds import Mode
from streams.harness.fold import fold, restore
from streams.harness.kafka import KafkaSettings, check
from streams.harness.readiness import Readiness
from streams.harness.stage import Record, Stage


def read(kafka: KafkaSettings, topic: str) -> list[Record]:
    """Read a whole topic, partition by partition."""
    return [record for partition in range(check(kafka, [topic])[topic]) for record in reading.read(kafka, topic, partition)]


def replayed(stage: Stage[Any], records: list[Record]) -> dict[int, list[tuple[str, bytes | None, bytes]]]:
    """Fold a recorded input; return the outputs by input partition."""
    outputs: dict[int, list[tuple[str, bytes | None, bytes]]] = {}
    parts: dict[int, Any] = {}
    for record in records:
        part = parts.setdefault(record.partition, None) or restore(stage, record.partition, None, record.offset)
        parts[record.partition] = part
        outputs.setdefault(record.partition, []).extend((output.topic, output.key, output.value) for output in fold(stage, part, record))
    return outputs


def without_repeats(values: list[Any]) -> list[Any]:
    """What a crash repeated has the same bytes: once is enough."""
    return list(dict.fromkeys(values))


def folded(stage: Stage[Any], kafka: KafkaSettings) -> list[Record]:
    """The part of the stage's input that the live run has folded and committed; what came after its end is nobody's yet."""
    records = read(kafka, stage.topic)
    consumer = Consumer({**kafka.confluent(), "group.id": f"airra-{stage.name}", "enable.auto.commit": False})
    try:
        partitions = sorted({record.partition for record in records})
        committed = consumer.committed([TopicPartition(stage.topic, partition) for partition in partitions], timeout=10)
    finally:
        consumer.close()
    ends = {found.partition: found.offset for found in committed}
    return [record for record in records if record.offset < ends[record.partition]]


def assert_replay_equals_live(stages: list[Stage[Any]], kafka: KafkaSettings) -> int:
    """Every output of the replay stands in the recorded topics, in the same order per input partition; returns how many."""
    recorded: dict[str, list[tuple[str, bytes | None, bytes]]] = {}
    compared = 0
    for stage in stages:
        inputs = folded(stage, kafka)
        assert inputs, f"{stage.name} has committed nothing"
        for outputs in replayed(stage, inputs).values():
            for topic in {topic for topic, _, _ in outputs}:
                if topic not in recorded:
                    recorded[topic] = [(topic, record.key, record.value) for record in read(kafka, topic)]
                expected = without_repeats([output for output in outputs if output[0] == topic])
                wanted = set(expected)
                live = without_repeats([record for record in recorded[topic] if record in wanted])
                assert live == expected, f"{stage.name} → {topic}"
                compared += len(live)
    return compared


def stages_of(*parts: Parts) -> list[Stage[Any]]:
    return [stage for part in parts for stage in part.stages]


@pytest.mark.timeout(400)
@pytest.mark.parametrize("kind", ["memory_leak", "pool_exhausted"])
def test_a_fault_is_found_named_approved_repaired_and_verified(
    kind: str, fresh_kafka: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fault = next(fault for fault in faults(DEFAULT_SCENARIO) if fault["kind"] == kind)
    said: list[str] = []
    run = Run(Plan(DEFAULT_SCENARIO, fault, 1, None, tmp_path, fresh_kafka.bootstrap, ROOT / "config"), said.append, lambda *_: Mode.LIVE)

    result = run.run()

    assert met(run.story, result) == [], "\n".join(said)
    assert result["outcome"]["correct"] == 1

    monkeypatch.setenv("AIRRA_CONFIG_DIR", str(ROOT / "config"))
    monkeypatch.setenv("AIRRA_TOPOLOGY_FILE", str(tmp_path / "sandbox" / "topology.yaml"))
    settings, kafka = read_settings(), KafkaSettings(fresh_kafka.bootstrap)
    stages = stages_of(*(build(settings, kafka, Readiness()) for build in (detect, dedup, control)))
    assert assert_replay_equals_live(stages, kafka) > 50
