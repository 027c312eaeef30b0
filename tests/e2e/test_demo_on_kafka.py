"""The whole loop over the live sandbox, on Apache Kafka; then every stage replayed from the recorded topics."""

from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, TopicPartition

from cli import reading
from cli.demo.command import ROOT
from cli.demo.run import Plan, Run
from cli.demo.sandbox import faults
from cli.demo.story import met
from cli.settings import read_settings
from cli.wiring import Parts, control, dedup, detect
from schemas.kinds import Mode
from schemas.topics import ACTIONS
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


# What each stage alone writes: on these a live record that the replay does not give is as wrong as a missing one.
OWN = {
    "detect": {"anomaly", "health"},
    "dedup": {"alert"},
    "correlate": {"incident"},
    "reason": {"proposal"},
    "approve": {"decision"},
    "admit": {"grant"},
    "report": {"started", "finished", "refused"},
    "verify": {"outcome", "undo_request"},
}


def assert_replay_equals_live(stages: list[Stage[Any]], kafka: KafkaSettings) -> int:
    """Fold each stage's recorded input again: the same records, in the same order an input partition; returns how many."""
    recorded: dict[str, list[Record]] = {}
    compared = 0
    for stage in stages:
        inputs = folded(stage, kafka)
        assert inputs, f"{stage.name} has committed nothing"
        everything: set[tuple[str, bytes | None, bytes]] = set()
        for outputs in replayed(stage, inputs).values():
            everything |= set(outputs)
            for topic in {topic for topic, _, _ in outputs}:
                if topic not in recorded:
                    recorded[topic] = read(kafka, topic)
                expected = without_repeats([output for output in outputs if output[0] == topic])
                wanted = set(expected)
                live = without_repeats([found for record in recorded[topic] if (found := (topic, record.key, record.value)) in wanted])
                assert live == expected, f"{stage.name} → {topic}"
                compared += len(live)
        for topic in {topic for topic, _, _ in everything} - {ACTIONS.name}:
            mine = [r for r in recorded[topic] if (r.header("airra.type") or b"").decode() in OWN[stage.name]]
            extra = [record for record in mine if (topic, record.key, record.value) not in everything]
            assert extra == [], f"{stage.name} → {topic}: live wrote what the replay does not"
    return compared


def stages_of(*parts: Parts) -> list[Stage[Any]]:
    return [stage for part in parts for stage in part.stages]


@pytest.mark.timeout(400)
@pytest.mark.parametrize(("scenario", "kind"), [("shop", "memory_leak"), ("clinic", "pool_exhausted")])
def test_a_fault_is_found_named_approved_repaired_and_verified(
    scenario: str, kind: str, fresh_kafka: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = ROOT / "sandbox" / "scenarios" / f"{scenario}.yaml"
    fault = next(fault for fault in faults(file) if fault["kind"] == kind)
    said: list[str] = []
    run = Run(Plan(file, fault, 1, None, tmp_path, fresh_kafka.bootstrap, ROOT / "config"), said.append, lambda *_: Mode.LIVE)

    result = run.run()

    assert met(run.story, result) == [], "\n".join(said)
    assert result["outcome"]["correct"] == 1

    monkeypatch.setenv("AIRRA_CONFIG_DIR", str(ROOT / "config"))
    monkeypatch.setenv("AIRRA_TOPOLOGY_FILE", str(tmp_path / "sandbox" / "topology.yaml"))
    settings, kafka = read_settings(), KafkaSettings(fresh_kafka.bootstrap)
    stages = stages_of(*(build(settings, kafka, Readiness()) for build in (detect, dedup, control)))
    assert assert_replay_equals_live(stages, kafka) > 50
