"""Everything a run needs on this machine: a broker, the topics, the roles under a supervisor; and its orderly end."""

from __future__ import annotations

import contextlib
import os
import secrets
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import httpx2

from cli import runfile
from cli.acting import arm
from cli.config import ConfigError
from cli.output import err, say
from cli.processes import Child, Supervisor, role_command, role_env
from cli.reading import read
from cli.roles import ROLES
from schemas import topics
from schemas.settings import PREFIX
from streams.harness.embedded import EmbeddedBroker
from streams.harness.errors import Fatal
from streams.harness.kafka import KafkaSettings
from streams.harness.topics import create_topics

READY_S = 90.0  # all roles import, join their groups and recover; a cold file cache takes the longest


class Stack:
    """Use as a context; `bootstrap` of an own Apache Kafka in place of the embedded broker."""

    def __init__(self, directory: Path, settings: Mapping[str, Any], bootstrap: str | None = None, roles: Sequence[str] = ROLES) -> None:
        self.directory = directory
        self.operator_token = secrets.token_urlsafe(24)
        self._settings = dict(settings)
        self._bootstrap = bootstrap
        self._roles = roles
        self._exit = contextlib.ExitStack()
        self.bootstrap = ""
        self.supervisor: Supervisor | None = None

    def __enter__(self) -> Self:
        self.bootstrap = self._bootstrap or self._exit.enter_context(EmbeddedBroker()).bootstrap
        created = create_topics(self.kafka, topics.CATALOGUE, 1)
        if topics.APPROVALS.name not in created and next(read(self.kafka, topics.APPROVALS.name, newest=1), None) is not None:
            # The demo arms acting: never on a cluster where another AIRRA might take that for its own.
            raise ConfigError(f"{topics.APPROVALS.name} on {self.bootstrap} is not empty: the demo needs a broker of its own")
        return self

    @property
    def kafka(self) -> KafkaSettings:
        return KafkaSettings(bootstrap=self.bootstrap)

    def start_roles(self, **more: Any) -> None:
        """Start the supervised roles with the stack's settings and these."""
        settings = {
            **self._settings,
            "kafka_bootstrap": self.bootstrap,
            "data_dir": self.directory,
            "api_port": 0,
            "store_port": 0,
            "observe_port": 0,
            "api_tokens": f"demo-operator:{self.operator_token}",
            **more,
        }
        # Nothing of the user's own deployment reaches the demo: not its store, its webhook, its keys.
        env = role_env(settings, {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)})
        self.supervisor = Supervisor([Child(role, role_command(role), env) for role in self._roles], self.directory / "logs")
        self._exit.callback(self.supervisor.stop)
        self.supervisor.start()

    def wait_ready(self, roles: Sequence[str], timeout_s: float = READY_S) -> None:
        """Wait until these roles say that they are ready; raise RuntimeError with what the last one said."""
        deadline = time.monotonic() + timeout_s
        said: dict[str, Any] = {}
        waiting = list(roles)
        while waiting:
            waiting = [role for role in waiting if not self._ready(role, said)]
            if self.supervisor is not None and self.supervisor.refused is not None:
                raise ConfigError(self.supervisor.refused)
            if waiting and time.monotonic() > deadline:
                told = {role: said.get(role, "no answer") for role in waiting}
                raise RuntimeError(f"not ready within {timeout_s:.0f} s: {told}; logs are in {self.directory / 'logs'}")
            if waiting:
                time.sleep(0.2)

    def arm(self, seconds: float) -> None:
        """Arm acting and wait for the control role: it counts an arming only when that comes after it has noticed it needs one."""
        if self._bootstrap is not None:
            self._exit.callback(self._disarm)  # the broker outlives the demo
        deadline = time.monotonic() + READY_S
        while True:
            arm(self.kafka, by="demo", seconds=seconds)
            try:
                return self.wait_ready(["control"], timeout_s=3.0)
            except RuntimeError:
                if time.monotonic() > deadline:
                    raise

    def _disarm(self) -> None:
        try:
            arm(self.kafka, by="demo", seconds=0, armed=False)
        except Fatal as error:
            say(f"airra demo: acting stays armed on {self.bootstrap}: {error}", err)

    def address(self, role: str, name: str) -> int:
        found = runfile.read(self.directory, role)
        if found is None:
            raise RuntimeError(f"{role} is not running; its log is in {self.directory / 'logs'}")
        port: int = found[name]
        return port

    def _ready(self, role: str, said: dict[str, Any]) -> bool:
        found = runfile.read(self.directory, role)
        if found is None:
            return False
        try:
            answer = httpx2.get(f"http://127.0.0.1:{found['observe_port']}/health/ready", timeout=2.0)
        except httpx2.HTTPError as error:
            said[role] = str(error)
            return False
        said[role] = answer.text
        return answer.status_code == httpx2.codes.OK

    def __exit__(self, *_: object) -> None:
        self._exit.close()
