"""A real Apache Kafka of three brokers, each with a controller: three replicas, two of them in sync for an acknowledgement."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Self

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from tests.kafka.broker import KafkaBroker

SIZE = 3
HEAP_MB = 384
IN_SYNC_WITHIN_S = 120.0


class KafkaCluster:
    """Use as a context. Brokers are named by their place, 0 to 2; `bootstrap` names all of them."""

    def __init__(self, folder: Path) -> None:
        self.brokers = [KafkaBroker(folder / f"broker-{number}") for number in range(SIZE)]
        self.bootstrap = ",".join(broker.bootstrap for broker in self.brokers)
        voters = ",".join(f"{number}@127.0.0.1:{broker.controller_port}" for number, broker in enumerate(self.brokers, 1))
        for number, broker in enumerate(self.brokers, 1):
            broker.heap_mb = HEAP_MB
            broker.cluster_id = self.brokers[0].cluster_id
            broker.properties = {
                "node.id": str(number),
                "controller.quorum.voters": voters,
                "default.replication.factor": str(SIZE),
                "min.insync.replicas": "2",
                "offsets.topic.replication.factor": str(SIZE),
                "transaction.state.log.replication.factor": str(SIZE),
                "transaction.state.log.min.isr": "2",
            }

    def start(self) -> KafkaCluster:
        for broker in self.brokers:
            broker.launch()
        for broker in self.brokers:
            broker.wait_until_serving()
        return self

    def kill(self, *numbers: int) -> None:
        """SIGKILL these brokers."""
        for number in numbers:
            self.brokers[number].kill()

    def restart(self, *numbers: int) -> None:
        """Start them again on their folders; return once they serve and every replica is in sync."""
        for number in numbers:
            self.brokers[number].launch()
        for number in numbers:
            self.brokers[number].wait_until_serving()
        self.wait_in_sync()

    def wait_in_sync(self) -> None:
        deadline = time.monotonic() + IN_SYNC_WITHIN_S
        while behind := self._out_of_sync():
            if time.monotonic() > deadline:
                raise RuntimeError(f"not in sync after {IN_SYNC_WITHIN_S:.0f} s: {sorted(behind)[:5]}")
            time.sleep(0.2)

    def _out_of_sync(self) -> set[str]:
        try:
            topics = AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 0}).list_topics(timeout=10).topics
        except KafkaException:
            return {"the cluster"}
        return {
            f"{name}/{number}"
            for name, topic in topics.items()
            for number, partition in topic.partitions.items()
            if set(partition.isrs) != set(partition.replicas) or partition.leader < 0
        }

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for broker in self.brokers:
            if broker.process is not None:
                broker.process.terminate()
        for broker in self.brokers:
            broker.stop()
