"""Which log a state belongs to. Kafka gives every topic an id of its own; one that was made anew, or restored elsewhere, has another.

Offsets count in one log only. A state whose log is gone would pass over as much of the new one as the old one had, or find itself
beyond its end. So a snapshot names its log, and a process ends as soon as one of its topics is another: what it does next is decided
where it opens its partitions.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

import structlog
from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient

from streams.harness.errors import Fatal, Unfit
from streams.harness.exits import die
from streams.harness.kafka import CHECK_WITHIN_S, KafkaSettings, admin_client, explain

log = structlog.get_logger()

LOOK_EVERY_S = 10.0

PROCEDURE = """\
{topic} is not the log that the state of {stage} was folded from: it was deleted and made again, or restored from elsewhere, and its
offsets count anew. Nothing was read or changed. To go on:
  1. Stop the roles that read {topic}. If you have the right log in a backup, restore it; what is lost here was decided there.
  2. Delete {changelog} and the group {group} (kafka-topics.sh --delete, kafka-consumer-groups.sh --delete), and those of
     every other stage whose log was made anew; after a restore of everything, all topics airra-*-state-changelog.
  3. Start the roles. {stage} folds {topic} as it is now from its beginning. What it had learnt from the old log is gone.
  4. Nothing is acted upon until an operator says so: `airra act arm`."""


def unfit(name: str, topic: str, group: str, changelog: str) -> Unfit:
    """Return the error that tells a person how to go on with a log that is not the one a stage's state is about."""
    return Unfit(PROCEDURE.format(stage=name, topic=topic, group=group, changelog=changelog))


def topic_ids(kafka: KafkaSettings, topics: Sequence[str], admin: AdminClient | None = None) -> dict[str, str]:
    """Return the id of each topic; those that are not there, and all of a broker that does not tell, are left out. Fatal: no answer."""
    found: dict[str, str] = {}
    if not topics:
        return found
    if admin is None:  # a client without outstanding requests is false
        admin = admin_client(kafka)
    for name, future in admin.describe_topics(TopicCollection(sorted(set(topics))), request_timeout=CHECK_WITHIN_S).items():
        try:
            found[name] = str(future.result(CHECK_WITHIN_S).topic_id)
        except KafkaException as error:
            if error.args[0].code() not in {KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNSUPPORTED_FEATURE}:  # noqa: SLF001
                raise Fatal(explain(kafka, [error.args[0]])) from error
        except TimeoutError as error:
            raise Fatal(f"Kafka at {kafka.bootstrap} does not say which topics it has") from error
    return found


async def watch(kafka: KafkaSettings, known: Mapping[str, str], every_s: float = LOOK_EVERY_S) -> None:
    """End the process when one of these topics is another than it was; a broker that is away, or a topic that is, is waited for."""
    admin = admin_client(kafka)
    while known:
        await asyncio.sleep(every_s)
        try:
            found = await asyncio.to_thread(topic_ids, kafka, list(known), admin)
        except Fatal as error:
            log.debug("topic_ids_unknown", error=str(error))
            continue
        anew = sorted(topic for topic, number in found.items() if number != known[topic])
        if anew:
            die(f"{', '.join(anew)} was deleted and made again")
