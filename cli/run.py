"""`airra up`, `airra worker ROLE`, `airra api`: processes that run until they are told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import threading
import time
from typing import Annotated

import structlog
import typer
from confluent_kafka import OFFSET_END

from cli import logs, runfile
from cli.config import ConfigError
from cli.observe import ObserveServer
from cli.output import err, out
from cli.processes import Child, Supervisor, role_command, role_env
from cli.roles import BUILDERS, ROLES
from cli.settings import read_settings
from cli.watch import Watch
from schemas import topics
from schemas.outcomes import Notice
from schemas.settings import Settings
from streams.harness.kafka import KafkaSettings
from streams.harness.readiness import Readiness

log = structlog.get_logger()


def worker(role: Annotated[str, typer.Argument(help=f"One of: {', '.join(ROLES)}.")]) -> None:
    """Run one role until SIGTERM; /health and /metrics are on AIRRA_OBSERVE_PORT.

    Example:  AIRRA_KAFKA_BOOTSTRAP=kafka:9092 airra worker detect
    """
    if role not in BUILDERS:
        raise ConfigError(f"no role {role}; the roles are {', '.join(ROLES)}")
    settings = read_settings()
    logs.configure(settings.log_level, role)
    asyncio.run(serve_role(role, settings))


def api() -> None:
    """Run the approvals API and its pages until SIGTERM.

    Example:  AIRRA_API_TOKENS=alice:long-random-token airra api
    """
    worker("api")


async def serve_role(role: str, settings: Settings) -> None:
    """Build the role's parts and run them in this process."""
    from streams.harness.runner import serve

    kafka = KafkaSettings.of(settings)
    readiness = Readiness()
    parts = BUILDERS[role](settings, kafka, readiness)
    observe = ObserveServer(settings.observe_host, settings.observe_port, readiness.report)
    observe.start()
    runfile.write(settings.data_dir, role, settings.instance, observe_port=observe.port, **parts.addresses)
    log.info("role_started", observe_port=observe.port, **parts.addresses)
    try:
        await serve(
            parts.stages,
            parts.effectors,
            parts.plain,
            kafka,
            settings.instance,
            settings.data_dir / "faust" / role,
            readiness,
            replication=settings.kafka_replication,
            snapshot_every_s=parts.snapshot_every_s,
        )
    finally:
        observe.stop()
        for close in parts.closing:
            close()
        runfile.path(settings.data_dir, role, settings.instance).unlink(missing_ok=True)


def up() -> None:
    """Run every role on this machine, each in a process of its own; what exits is started again. Ctrl-C stops all.

    Example:  AIRRA_KAFKA_BOOTSTRAP=127.0.0.1:9092 AIRRA_API_TOKENS=alice:… airra up
    """
    settings = read_settings()
    logs.configure(settings.log_level, "supervisor")
    # The children inherit the variables; only the ports that one machine can give once are theirs to choose.
    env = role_env({"data_dir": settings.data_dir, "observe_port": 0})
    supervisor = Supervisor([Child(role, role_command(role), env) for role in ROLES], settings.data_dir / "logs")
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    supervisor.start()
    err.print(f"airra: {len(ROLES)} roles started (pid {os.getpid()}); logs in {settings.data_dir / 'logs'}; Ctrl-C stops them")
    notices = Watch(KafkaSettings.of(settings).confluent(), _tell, (topics.NOTICES.name,), OFFSET_END)
    notices.start()
    with contextlib.suppress(KeyboardInterrupt):
        stop.wait()
    notices.stop()
    supervisor.stop()


def _tell(event: object, at: int) -> None:
    """Show a notice in the terminal: what a person should know now."""
    if isinstance(event, Notice):
        clock = time.strftime("%H:%M:%S", time.gmtime(at / 1000))
        out.print(f"{clock} UTC  {event.kind}  [{event.severity}]  {event.title}: {event.text}  ({event.incident})", markup=False)
