"""A real Apache Kafka for tests: one KRaft node on free ports in a folder of its own; it cannot outlive the test run."""

from __future__ import annotations

import base64
import ctypes
import fcntl
import re
import shutil
import signal
import socket
import subprocess
import time
import uuid
from pathlib import Path
from typing import Self

from streams.harness.embedded import free_port

HERE = Path(__file__).parent
REPO = HERE.parent.parent
JARS = REPO / ".build" / "kafka"
PR_SET_PDEATHSIG = 1
SERVING_WITHIN_S = 60.0  # a broker restarted after SIGKILL waits about 10 s for its old registration to expire
MESSAGE_MAX_BYTES = 12 * 1024 * 1024

_LOG4J = """Configuration:
  status: ERROR
  Appenders:
    Console: {name: stdout, PatternLayout: {pattern: "%d %p %m (%c)%n"}}
  Loggers:
    Root: {level: WARN, AppenderRef: {ref: stdout}}
"""


class Missing(Exception):
    """What this machine lacks to run Apache Kafka."""


def missing() -> str | None:
    """Say why Apache Kafka cannot run here; None when it can."""
    java, maven = shutil.which("java"), shutil.which("mvn")
    if java is None:
        return "java is not installed (Java 17 or later)"
    version = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr
    found = re.search(r'version "(\d+)', version)
    if found is None or int(found[1]) < 17:
        return f"Java 17 or later is needed, found {found[1] if found else 'none'}"
    if maven is None and not (JARS / "complete").exists():
        return "mvn is not installed (Maven fetches Apache Kafka's jars)"
    return None


def fetch_jars() -> Path:
    """Fetch Apache Kafka's jars once; two runs side by side wait for each other."""
    JARS.mkdir(parents=True, exist_ok=True)
    done = JARS / "complete"
    pom = HERE / "pom.xml"
    with (JARS.parent / "kafka.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if done.exists() and done.read_text() == pom.read_text():
            return JARS
        command = ["mvn", "-q", "-B", "-f", str(pom), "dependency:copy-dependencies", f"-DoutputDirectory={JARS}"]
        result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
        if result.returncode:
            raise Missing(f"mvn could not fetch Apache Kafka: {(result.stdout + result.stderr)[-800:]}")
        done.write_text(pom.read_text())
    return JARS


class KafkaBroker:
    """Start, stop, kill and restart one broker on the same folder and ports."""

    def __init__(
        self, folder: Path, users: dict[str, str] | None = None, far_port: int | None = None, properties: dict[str, str] | None = None
    ) -> None:
        """With `users` (name → password) clients must log in with SASL_PLAINTEXT, mechanism PLAIN. `properties` are the broker's own.

        With `far_port` there is a second listener on `near_port`, whose clients are told to come to `far_port`: a proxy between the two
        has all of their traffic, for a client goes to the address that the broker tells, not to the one it began with.
        """
        self.folder = folder
        self.users = users
        self.cluster_id = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        self.heap_mb = 512
        self.far_port = far_port
        self.properties = properties or {}
        self.near_port = free_port()
        self.port = free_port()
        self.inner_port = free_port()
        self.controller_port = free_port()
        self.bootstrap = f"127.0.0.1:{self.port}"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> KafkaBroker:
        """Return once the broker answers."""
        self.launch()
        self.wait_until_serving()
        return self

    def launch(self) -> None:
        """Start the process; format the folder on the first start."""
        jars = fetch_jars()
        self.folder.mkdir(parents=True, exist_ok=True)
        properties = self.folder / "server.properties"
        log4j = self.folder / "log4j2.yaml"
        command = ["java", f"-Xmx{self.heap_mb}m", "-Xms128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", f"{jars}/*"]
        command.append(f"-Dlog4j2.configurationFile={log4j}")
        if not properties.exists():
            properties.write_text(self._properties())
            log4j.write_text(_LOG4J)
            formatted = subprocess.run(
                [*command, "kafka.tools.StorageTool", "format", f"--cluster-id={self.cluster_id}", "-c", str(properties)],
                capture_output=True,
                text=True,
                check=False,
            )
            if formatted.returncode:
                raise RuntimeError(f"formatting failed: {formatted.stdout[-800:]}{formatted.stderr[-800:]}")
        libc = ctypes.CDLL(None)
        with (self.folder / "server.log").open("ab") as log:
            self.process = subprocess.Popen(
                [*command, "kafka.Kafka", str(properties)],
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
                preexec_fn=lambda: libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL),  # noqa: PLW1509 - one system call
            )

    def stop(self) -> None:
        """End it in order."""
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def kill(self) -> None:
        """SIGKILL: what the operating system holds is kept, what the broker held is gone."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def restart(self) -> None:
        """Start again on the same folder and ports; returns once it serves (about 10 s after a kill)."""
        self.stop()
        self.start()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _properties(self) -> str:
        secured = self.users is not None
        # With users, the clients' listener asks for a password and the broker talks to itself on another one.
        inner = "INNER" if secured else "CLIENT"
        listeners = [f"CLIENT://127.0.0.1:{self.port}", f"CONTROLLER://127.0.0.1:{self.controller_port}"]
        advertised = [f"CLIENT://127.0.0.1:{self.port}"]
        if secured:
            listeners.append(f"INNER://127.0.0.1:{self.inner_port}")
            advertised.append(f"INNER://127.0.0.1:{self.inner_port}")
        if self.far_port is not None:
            listeners.append(f"FAR://127.0.0.1:{self.near_port}")
            advertised.append(f"FAR://127.0.0.1:{self.far_port}")
        lines = {
            "process.roles": "broker,controller",
            "node.id": "1",
            "controller.quorum.voters": f"1@127.0.0.1:{self.controller_port}",
            "listeners": ",".join(listeners),
            "advertised.listeners": ",".join(advertised),
            "listener.security.protocol.map": f"CLIENT:{'SASL_PLAINTEXT' if secured else 'PLAINTEXT'},CONTROLLER:PLAINTEXT,INNER:PLAINTEXT,FAR:PLAINTEXT",
            "controller.listener.names": "CONTROLLER",
            "inter.broker.listener.name": inner,
            "log.dirs": str(self.folder / "logs"),
            "auto.create.topics.enable": "false",
            "group.initial.rebalance.delay.ms": "0",
            "offsets.topic.replication.factor": "1",
            "offsets.topic.num.partitions": "4",
            "transaction.state.log.replication.factor": "1",
            "transaction.state.log.min.isr": "1",
            "transaction.state.log.num.partitions": "2",
            "default.replication.factor": "1",
            "message.max.bytes": str(MESSAGE_MAX_BYTES),
            "replica.fetch.max.bytes": str(MESSAGE_MAX_BYTES),
            "socket.request.max.bytes": str(2 * MESSAGE_MAX_BYTES),
            "num.network.threads": "2",
            "num.io.threads": "4",
            "log.cleaner.dedupe.buffer.size": "16777216",
        }
        if self.users is not None:
            entries = " ".join(f'user_{name}="{password}"' for name, password in self.users.items())
            jaas = f"org.apache.kafka.common.security.plain.PlainLoginModule required {entries};"
            lines["listener.name.client.sasl.enabled.mechanisms"] = "PLAIN"
            lines["listener.name.client.plain.sasl.jaas.config"] = jaas
        lines |= self.properties
        return "".join(f"{name}={value}\n" for name, value in lines.items())

    def wait_until_serving(self) -> None:
        """Return once it answers, and creates topics."""
        from confluent_kafka.admin import AdminClient

        port = self.inner_port if self.users is not None else self.port
        deadline = time.monotonic() + SERVING_WITHIN_S
        while time.monotonic() < deadline:
            assert self.process is not None
            if self.process.poll() is not None:
                raise RuntimeError(f"Apache Kafka ended with {self.process.returncode}:\n{self._log_tail()}")
            with socket.socket() as probe:
                probe.settimeout(0.5)
                listening = probe.connect_ex(("127.0.0.1", port)) == 0
            if listening:
                admin = AdminClient({"bootstrap.servers": f"127.0.0.1:{port}", "log_level": 0, "socket.connection.setup.timeout.ms": 2000})
                try:
                    # A controller that answers is one that also creates topics; metadata alone comes earlier.
                    if admin.describe_cluster(request_timeout=2).result(3).controller is not None and admin.list_topics(timeout=2).brokers:
                        return
                except Exception:
                    pass
            time.sleep(0.1)
        raise RuntimeError(f"Apache Kafka does not serve after {SERVING_WITHIN_S} s:\n{self._log_tail()}")

    def _log_tail(self) -> str:
        return (self.folder / "server.log").read_text(errors="replace")[-2000:]


def main() -> None:
    """Run one broker in the foreground until Ctrl-C, for work by hand: `python tests/kafka/broker.py FOLDER`."""
    import sys

    with KafkaBroker(Path(sys.argv[1])) as broker:
        print(broker.bootstrap, flush=True)
        signal.sigwait({signal.SIGINT, signal.SIGTERM})


if __name__ == "__main__":
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    main()
