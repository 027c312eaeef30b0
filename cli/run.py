"""`airra up`, `airra worker ROLE`, `airra api`: processes that run until they are told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
import threading
import time
from functools import partial
from typing import Annotated, Any

import structlog
import typer
from confluent_kafka import OFFSET_END
from rich.console import Console

from cli import logs, preflight, runfile
from cli.config import ConfigError
from cli.observe import ObserveServer
from cli.output import STDOUT, JsonTo, err, out, say, write_json
from cli.processes import Child, Supervisor, role_command, role_env
from cli.roles import BUILDERS, ROLES
from cli.settings import read_settings
from cli.watch import Watch
from schemas import topics
from schemas.outcomes import Notice
from schemas.settings import Settings
from streams.harness.kafka import KafkaSettings
from streams.harness.memory import give_back_what_is_large, share_one_heap
from streams.harness.readiness import Readiness

log = structlog.get_logger()

YOUNG = 50_000  # objects that may be part of a cycle, made since the last look
ADDRESSES_WITHIN_S = 60.0  # a role has its address once it is built: seconds of imports on a busy machine


def worker(role: Annotated[str, typer.Argument(help=f"One of: {', '.join(ROLES)}.")], json_to: JsonTo = None) -> None:
    """Run one role until SIGTERM; /health and /metrics are on AIRRA_OBSERVE_PORT. --json: one line with its pid and ports.

    Example:  AIRRA_KAFKA_BOOTSTRAP=kafka:9092 airra worker detect
    """
    if role not in BUILDERS:
        raise ConfigError(f"no role {role}; the roles are {', '.join(ROLES)}")
    settings = read_settings()
    logs.configure(settings.log_level, role)
    asyncio.run(serve_role(role, settings, json_to))


def api(json_to: JsonTo = None) -> None:
    """Run the approvals API and its pages until SIGTERM. --json: one line with its pid and ports.

    Example:  AIRRA_API_TOKENS=alice:long-random-token airra api
    """
    worker("api", json_to)


async def serve_role(role: str, settings: Settings, json_to: str | None = None) -> None:
    """Build the role's parts and run them in this process."""
    share_one_heap()  # before there is a second thread
    give_back_what_is_large()
    from streams.harness.runner import serve

    preflight.role(role, settings)
    kafka = KafkaSettings.of(settings)
    readiness = Readiness()
    observe = _observed(settings, readiness)
    parts = BUILDERS[role](settings, kafka, readiness)
    observe.start()
    addresses = {"observe_port": observe.port, **parts.addresses}
    runfile.write(settings.data_dir, role, settings.instance, **addresses)
    log.info("role_started", **addresses)
    if json_to is not None:
        write_json(json_to, {"role": role, "pid": os.getpid(), **addresses}, indent=None)
    spare_the_collector()
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


def spare_the_collector() -> None:
    """Let Python look for cycles of garbage less often: a batch of thousands of messages is not to be gone through a dozen times.

    What was imported stays to the end, and is never looked at again: to go through all of it stops everything in the midst of a record.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, *gc.get_threshold()[1:])


def _observed(settings: Settings, readiness: Readiness) -> ObserveServer:
    try:
        return ObserveServer(settings.observe_host, settings.observe_port, readiness.report)
    except OSError as error:
        told = f"AIRRA_OBSERVE_PORT={settings.observe_port} on {settings.observe_host}: {error.strerror or error}"
        raise ConfigError(f"{told}; choose another (0: a free one)") from error


def up(json_to: JsonTo = None) -> None:
    """Run every role on this machine, each in a process of its own; what exits is started again. Ctrl-C stops all.

    --json: one line with every role's pid and ports, once all have theirs.

    Example:  AIRRA_KAFKA_BOOTSTRAP=127.0.0.1:9092 AIRRA_API_TOKENS=alice:… airra up
    """
    settings = read_settings()
    logs.configure(settings.log_level, "supervisor")
    preflight.everything(settings)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    # The children inherit the variables; only the ports that one machine can give once are theirs to choose.
    env = role_env({"data_dir": settings.data_dir, "observe_port": 0})
    children = [Child(role, role_command(role), env) for role in ROLES]
    supervisor = Supervisor(children, settings.data_dir / "logs", on_refused=stop.set)
    tell = partial(_tell, err if json_to == STDOUT else out)
    notices = Watch(KafkaSettings.of(settings).confluent(), tell, (topics.NOTICES.name,), OFFSET_END)
    with contextlib.ExitStack() as closing:
        closing.callback(supervisor.stop)
        supervisor.start()
        closing.callback(notices.stop)
        notices.start()
        err.print(f"airra: {len(ROLES)} roles started (pid {os.getpid()}); logs in {settings.data_dir / 'logs'}; Ctrl-C stops them")
        if json_to is not None and (started := _started(supervisor, settings, stop)):
            write_json(json_to, started, indent=None)
        stop.wait()
    if supervisor.refused is not None:
        raise ConfigError(f"{supervisor.refused}\nevery role was stopped: no restart mends that")


def _started(supervisor: Supervisor, settings: Settings, stop: threading.Event) -> dict[str, Any] | None:
    """Return what runs, once every role has told its addresses (null for one that has not in time); None when told to stop before."""
    deadline = time.monotonic() + ADDRESSES_WITHIN_S
    while not stop.wait(0.1):
        found = {role: runfile.read(settings.data_dir, role) for role in ROLES}
        # A file of an earlier process may still lie there.
        told = {role: one if one is not None and one["pid"] == supervisor.pid(role) else None for role, one in found.items()}
        if all(told.values()) or time.monotonic() > deadline:
            return {"pid": os.getpid(), "logs": str(settings.data_dir / "logs"), "roles": told}
    return None


def _tell(console: Console, event: object, at: int) -> None:
    """Show a notice in the terminal: what a person should know now."""
    if isinstance(event, Notice):
        clock = time.strftime("%H:%M:%S", time.gmtime(at / 1000))
        say(f"{clock} UTC  {event.kind}  [{event.severity}]  {event.title}: {event.text}  ({event.incident})", console)
