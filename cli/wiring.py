"""The composition roots: what each role runs, built from the settings. Imports stand in the functions: a role loads only its own."""

from __future__ import annotations

import asyncio
import gc
import os
import socket
import threading
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from cli.config import ConfigError, load
from schemas.base import Strict, derive_id, digest
from schemas.config.correlate import CorrelateConfig
from schemas.config.formats import FormatsMapping
from schemas.config.metrics import MetricsMapping
from schemas.config.policy import Policy
from schemas.config.runbooks import RunbookCatalogue
from schemas.config.topology import TopologyFile
from schemas.settings import Settings
from streams.harness.kafka import KafkaSettings
from streams.harness.readiness import Readiness
from streams.harness.stage import SAVED_EVERY_S, Effector, Stage

if TYPE_CHECKING:
    from streams.normalise.formats.choice import Choice

Plain = Callable[[asyncio.Event], Awaitable[None]]

LOOK_S, LATER_S = 1.0, 15.0  # how often it is asked whether a role is ready; after that, what it will need is loaded


@dataclass
class Parts:
    """What one process runs side by side."""

    stages: list[Stage[Any]] = field(default_factory=list)
    effectors: list[Effector] = field(default_factory=list)
    plain: list[Plain] = field(default_factory=list)  # consumers and servers that need no fold
    addresses: dict[str, Any] = field(default_factory=dict)  # for the run file
    closing: list[Callable[[], None]] = field(default_factory=list)  # called at the end, in order
    snapshot_every_s: float = SAVED_EVERY_S


def now_ms() -> int:
    return int(time.time() * 1000)


def elapsed_ms() -> int:
    """Return a clock that goes on evenly, whoever sets the host's."""
    return int(time.monotonic() * 1000)


def configuration(settings: Settings, name: str) -> Strict:
    """Read and validate one of the configuration files; raise ConfigError."""
    from schemas.config.detect import DetectConfig

    models: dict[str, type[Strict]] = {
        "detect": DetectConfig,
        "metrics": MetricsMapping,
        "formats": FormatsMapping,
        "correlate": CorrelateConfig,
        "runbooks": RunbookCatalogue,
        "policy": Policy,
        "topology": TopologyFile,
    }
    return formats(settings) if name == "formats" else load(models[name], settings.file(name))


def formats(settings: Settings) -> FormatsMapping:
    """Read formats.yaml. It may be missing: then every record says itself what it is; a file that is named must be there."""
    path = settings.file("formats")
    return load(FormatsMapping, path) if settings.formats_file or path.exists() else FormatsMapping()


def choice(settings: Settings) -> Choice:
    """Return how the format of a record of metrics is chosen; raise Unfit for a format that there is not."""
    from streams.normalise.formats.catalogue import choice_of
    from streams.normalise.formats.registry import Registry

    url = settings.registry_url.get_secret_value()
    return choice_of(formats(settings), Registry(url) if url else None)


def in_thread(run: Callable[[threading.Event], None]) -> Plain:
    """Run a blocking consumer in a thread until the event is set; what it raises ends the process."""

    async def plain(stop: asyncio.Event) -> None:
        ended = threading.Event()
        task = asyncio.create_task(asyncio.to_thread(run, ended))
        waiting = asyncio.create_task(stop.wait())
        await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED)
        ended.set()
        waiting.cancel()
        await task

    return plain


def normalise(settings: Settings, kafka: KafkaSettings, readiness: Readiness) -> Parts:
    from streams.normalise.lanes import lanes

    mapping = load(MetricsMapping, settings.file("metrics"))
    named = (settings.sample_topics, settings.alerts_topics, settings.changes_topics)
    readers = lanes(kafka, mapping, *named, instance=settings.instance, choice=choice(settings))
    return Parts(plain=[in_thread(partial(reader.run, readiness=readiness)) for reader in readers])


def detect(settings: Settings, kafka: KafkaSettings, readiness: Readiness) -> Parts:
    del kafka
    from models.surprise.drift import page_hinkley

    return Parts(stages=[_detect(settings)], plain=[in_thread(partial(_later, page_hinkley, readiness))])


def _later(load: Callable[[], object], readiness: Readiness, ended: threading.Event) -> None:
    """Load what is needed within the hour once the role is ready and has had time to catch up: no recovery waits for it, and no record."""
    while not readiness.report()[0] and not ended.wait(LOOK_S):
        pass
    if not ended.wait(LATER_S):
        load()
        gc.freeze()  # as all that a process begins with (cli/run.py)
    ended.wait()


def _detect(settings: Settings) -> Stage[Any]:
    from schemas.config.detect import DetectConfig
    from streams.detect import stage

    config = load(DetectConfig, settings.file("detect"))
    return stage(config.model_copy(update={"sigma": settings.anomaly_threshold_sigma}), (*settings.sample_topics, *settings.writers))


def dedup(settings: Settings, kafka: KafkaSettings, readiness: Readiness) -> Parts:
    del settings, kafka, readiness
    from streams.dedup import stage

    return Parts(stages=[stage()])


def control(settings: Settings, kafka: KafkaSettings, readiness: Readiness) -> Parts:
    """Build the narrow plane: correlate, reason, approve, admit, verify as folds; execute, tell and the LLM as effectors."""
    from agents import tell

    policy = _policy(settings)
    topology = load(TopologyFile, settings.file("topology"))
    llm = _llm(settings)
    return Parts(
        stages=_control(settings, policy),
        effectors=[
            _execute(settings, kafka, policy),
            tell.effector(settings.webhook_url.get_secret_value(), settings.webhook_timeout_s),
            *llm,
        ],
        snapshot_every_s=1.0,  # small states: a restart folds at most a second of the log again
        plain=[lambda stop: _publish_topology(kafka, topology, readiness, stop)],
    )


def _control(settings: Settings, policy: Policy) -> list[Stage[Any]]:
    from agents import admit, approve, reason, verify
    from agents.execute import report
    from streams import correlate

    return [
        correlate.stage(load(CorrelateConfig, settings.file("correlate"))),
        reason.stage(load(RunbookCatalogue, settings.file("runbooks"))),
        approve.stage(policy),
        admit.stage(policy),
        report(),
        verify.stage(policy),
    ]


def folds(settings: Settings) -> list[Stage[Any]]:
    """Build every stage without the process round it: to fold a log again."""
    from streams import dedup

    return [_detect(settings), dedup.stage(), *_control(settings, _policy(settings))]


def sink(settings: Settings, kafka: KafkaSettings, readiness: Readiness) -> Parts:
    from streams.sink import Sink
    from streams.sink.server import StoreServer
    from streams.sink.store import open_store

    store = open_store(settings.store_url, settings.store_password.get_secret_value(), settings.data_dir / "store")
    consumer = Sink(kafka, store, instance=settings.instance)
    parts = Parts(plain=[in_thread(lambda stop: consumer.run(stop, readiness))])
    if store.embedded:
        server = StoreServer(store, "127.0.0.1", settings.store_port)
        server.start()
        parts.addresses["store_port"] = server.address[1]
        parts.closing.append(server.stop)
    parts.closing.append(store.close)
    return parts


def store_client(settings: Settings) -> Any:
    """Connect to the store for reading: the server of the settings, else what the sink of this machine serves. Fatal, Retryable."""
    from cli import runfile
    from streams.sink.store import connect

    if settings.store_url:
        return connect(settings.store_url, settings.store_password.get_secret_value())
    running = runfile.read(settings.data_dir, "sink")
    return connect(f"http://127.0.0.1:{running['store_port'] if running else settings.store_port}")


def api(settings: Settings, kafka: KafkaSettings, readiness: Readiness) -> Parts:
    from api.server import ApiServer, operators

    try:
        tokens = operators(settings.api_tokens.get_secret_value())
    except ValueError as error:
        raise ConfigError(f"AIRRA_API_TOKENS: {error}") from error
    try:
        writers = operators(settings.write_tokens.get_secret_value(), "source")
    except ValueError as error:
        raise ConfigError(f"AIRRA_WRITE_TOKENS: {error}") from error
    server = ApiServer(
        kafka,
        host=settings.api_host,
        port=settings.api_port,
        tokens=tokens,
        secret=os.urandom(32),  # of the pages' sessions: a restart asks people to log in again
        readiness=readiness,
        clock=now_ms,
        writers=writers,
        write_quota=settings.write_quota,
    )
    return Parts(plain=[server.run], addresses={"api_port": server.address[1]})


def _policy(settings: Settings) -> Policy:
    """Return the policy that approve puts on the log: what is in the file, with what the settings say."""
    from models.approvals import in_force

    llm_on = bool(settings.llm_api_key.get_secret_value())
    return in_force(
        load(Policy, settings.file("policy")),
        threshold_high=settings.confidence_threshold_high,
        llm_timeout_s=settings.llm_timeout_s if llm_on else None,
    )


def _execute(settings: Settings, kafka: KafkaSettings, policy: Policy) -> Effector:
    from agents.execute import Execute, Sides, Standing, live_views
    from agents.execute.executors.base import Executor
    from agents.execute.executors.dry_run import DryRunExecutor
    from agents.execute.executors.http_control import HttpControlExecutor
    from schemas.kinds import Mode
    from streams.harness.kafka import cluster_id

    live: Executor | None = None
    if settings.executor == "http":
        if not settings.executor_url:
            raise ConfigError("AIRRA_EXECUTOR=http needs AIRRA_EXECUTOR_URL: the address of the control API")
        live = HttpControlExecutor(settings.executor_url, settings.executor_token.get_secret_value(), settings.executor_timeout_s)
    sides = Sides(policy)
    standing = Standing(
        owner=f"{socket.gethostname()}-{settings.instance}-{os.getpid()}",
        cluster=cluster_id(kafka),
        dry_run_mode=settings.dry_run_mode,
        call_timeout_s=settings.executor_timeout_s,
    )
    return Execute(sides, live_views(kafka, sides), {Mode.LIVE: live, Mode.DRY_RUN: DryRunExecutor(live)}, standing, now_ms, elapsed_ms)


def _llm(settings: Settings) -> list[Effector]:
    key = settings.llm_api_key.get_secret_value()
    if not key:
        return []
    from agents.reason.llm.answer import Explainer
    from agents.reason.llm.effector import LlmEffector

    explainer: Explainer
    if settings.llm_provider == "anthropic":
        from agents.reason.llm.anthropic_explainer import AnthropicExplainer

        explainer = AnthropicExplainer(key, settings.llm_model, settings.llm_base_url, settings.llm_timeout_s)
    else:
        from agents.reason.llm.openai_explainer import OpenAIExplainer

        explainer = OpenAIExplainer(key, settings.llm_model, settings.llm_base_url, settings.llm_timeout_s)
    return [LlmEffector(explainer, now_ms)]


async def _publish_topology(kafka: KafkaSettings, file: TopologyFile, readiness: Readiness, stop: asyncio.Event) -> None:
    """Append the topology to signals: correlate takes what it needs from its own log. The same file again changes nothing."""
    from schemas import topics
    from schemas.signals import Topology
    from streams.harness.emit import emit
    from streams.harness.producer import KafkaAppender

    known = digest(file)
    services = [service.model_dump() for service in file.services]
    calls = [call.model_dump(by_alias=True) for call in file.calls]
    record = Topology.model_validate({"id": derive_id("top", known), "at": now_ms(), "digest": known, "services": services, "calls": calls})
    appender = KafkaAppender(kafka)
    await appender.start()
    try:
        await appender([emit(topics.SIGNALS, "topology", record)])
    finally:
        await appender.stop()
    readiness.set("topology", ready=True, reason=f"{len(services)} services, digest {known[:12]}")
    await stop.wait()
