"""How many partitions a log has is part of what its keys mean: a stage that began with another number is not run on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from schemas.topics import CATALOGUE
from streams.harness.errors import Unfit

ONE_LOG = frozenset(spec.name for spec in CATALOGUE if spec.plane == "control")

PROCEDURE = """\
Kafka cannot take partitions away, and with another number keys go to other partitions than the state about them. To change it:
  1. Stop the role that writes {topic} (normalise), and wait until kafka-consumer-groups.sh --describe --group {group} shows no lag.
     Stop the roles that read it.
  2. Delete {topic}, {changelog} and the group {group} (kafka-topics.sh --delete, kafka-consumer-groups.sh --delete).
  3. Create {topic} with the number you want (kafka-topics.sh --create --partitions N, else as `airra topics check` says).
  4. Start the roles. No record is lost: all had been folded. What {stage} had learnt is gone, and it learns anew.
To go back instead: the same steps with {before} partitions."""

ONE_PROCEDURE = """\
A control log is one order of one environment: it has one partition, always. What stands on others is read by nobody. Stop all
roles, save what the other partitions hold (kafka-console-consumer.sh --partition 1), restore {topic} with one partition from a
backup, or delete it and run `airra topics create`; then `airra act arm`. Another environment is another Kafka, or other topics."""


def same_as_before(name: str, topic: str, count: int, group: str, changelog: str, began_with: int) -> None:
    """Raise Unfit where a stage's log has another number of partitions than its changelog; 0: it has none yet."""
    if began_with not in (0, count):
        told = f"{topic} has {count} partitions, and {name} began with {began_with}. Nothing was read or changed.\n"
        raise Unfit(told + PROCEDURE.format(topic=topic, changelog=changelog, group=group, stage=name, before=began_with))


def one_each(counts: Mapping[str, int], effectors: Sequence[str]) -> None:
    """Raise Unfit where a control log, or the log of an effector, has more than one partition."""
    for topic, count in sorted(counts.items()):
        if count > 1 and (topic in ONE_LOG or topic in effectors):
            raise Unfit(f"{topic} has {count} partitions. Nothing was read or changed.\n" + ONE_PROCEDURE.format(topic=topic))
