"""Run the API: bind, fold the control logs, serve until told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType

import structlog
import uvicorn

from api.app import build
from api.auth import Gate
from api.deps import Dependencies
from api.read_model import ReadModel
from api.said import Said
from api.write import Door, Quota
from schemas import topics
from schemas.approvals import is_own_name
from streams.harness.errors import Fatal, Unfit
from streams.harness.kafka import KafkaSettings, cluster_id
from streams.harness.producer import KafkaAppender
from streams.harness.readiness import Readiness
from streams.harness.view import LogView

log = structlog.get_logger()

WATCH_S = 0.5  # how soon readiness follows the views
LISTENING = "api"
DRAIN_S = 3  # for answers that are under way at the end
LOCAL_HOSTS = ("127.0.0.1", "localhost", "[::1]")


class _Server(uvicorn.Server):
    """uvicorn without its own signal handlers: the process has its own, and stops all its parts in order."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class ApiServer:
    """Bound when built, so that the port is known; `run` serves."""

    def __init__(
        self,
        kafka: KafkaSettings,
        *,
        host: str,
        port: int,
        tokens: Mapping[str, str],
        secret: bytes,
        readiness: Readiness,
        clock: Callable[[], int],
        writers: Mapping[str, str] = MappingProxyType({}),
        write_quota: float = 0.0,
    ) -> None:
        self._kafka = kafka
        self._tokens = tokens
        self._secret = secret
        self._readiness = readiness
        self._clock = clock
        self._writers = writers
        self._write_quota = write_quota
        self._host = host
        self._socket = _bind(host, port)
        self.address: tuple[str, int] = (host, self._socket.getsockname()[1])

    @property
    def url(self) -> str:
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self.address[1]}"

    async def run(self, stop: asyncio.Event) -> None:
        """Serve until `stop`; raises Fatal when Kafka cannot be used, or when a view breaks."""
        model = ReadModel()
        folds = {
            topics.APPROVALS.name: model.fold_approvals,
            topics.INCIDENTS.name: model.fold_incidents,
            topics.ACTIONS.name: model.fold_actions,
            topics.OUTCOMES.name: model.fold_outcomes,
        }
        views = {topic: LogView(self._kafka, topic, fold) for topic, fold in folds.items()}
        self._readiness.set(LISTENING, False, "does not listen yet")
        for topic in views:
            self._readiness.set(topic, False, "is being read")
        async with contextlib.AsyncExitStack() as closing:
            closing.callback(self._socket.close)
            cluster = await asyncio.to_thread(cluster_id, self._kafka)
            appender = await KafkaAppender(self._kafka, "airra-api").start()
            closing.push_async_callback(appender.stop)
            door = await self._door(closing)
            for view in views.values():
                await view.start()
                closing.push_async_callback(view.stop)
            app = build(
                Dependencies(
                    model=model,
                    approvals=views[topics.APPROVALS.name],
                    incidents=views[topics.INCIDENTS.name],
                    actions=views[topics.ACTIONS.name],
                    said=Said(appender),
                    door=door,
                    tokens=self._tokens,
                    secret=self._secret,
                    cluster=cluster,
                    clock=self._clock,
                    new_id=lambda: uuid.uuid4().hex,
                    readiness=self._readiness.report,
                    allowed_hosts=LOCAL_HOSTS if _is_local(self._host) else ("*",),
                )
            )
            config = uvicorn.Config(
                app, log_config=None, access_log=False, lifespan="off", server_header=False, timeout_graceful_shutdown=DRAIN_S
            )
            server = _Server(config)
            serving = asyncio.create_task(server.serve(sockets=[self._socket]), name="api")
            log.info("api_serving", url=self.url, operators=len(self._tokens))
            try:
                await self._watch(views, server, serving, stop)
            finally:
                server.should_exit = True
                await serving

    async def _door(self, closing: contextlib.AsyncExitStack) -> Door | None:
        """Open the door of remote_write; its producer is its own, for metrics must not stand before a person's word."""
        if not self._writers:
            return None
        appender = await KafkaAppender(self._kafka, "airra-api-write").start()
        closing.push_async_callback(appender.stop)
        return Door(appender, Gate(self._writers, self._secret), Quota(self._write_quota))

    async def _watch(self, views: Mapping[str, LogView], server: uvicorn.Server, serving: asyncio.Task[None], stop: asyncio.Event) -> None:
        """Keep readiness true until `stop`; a view that was ready and is not has broken."""
        ready: set[str] = set()
        while not stop.is_set() and not serving.done():
            if server.started:
                self._readiness.set(LISTENING, True)
            for topic, view in views.items():
                if view.ready and topic not in ready:
                    ready.add(topic)
                    self._readiness.set(topic, True)
                elif topic in ready and not view.ready:
                    self._readiness.set(topic, False, "the view is broken")
                    raise Fatal(f"the view of {topic} is broken")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), WATCH_S)


def _bind(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host, port))
    except socket.gaierror as error:
        bound.close()
        raise Unfit(f"the API cannot listen on AIRRA_API_HOST={host}: {error.strerror}; name an address of this machine") from error
    except OSError as error:
        bound.close()
        raise Fatal(f"the API cannot listen on {host}:{port}: {error}; choose another AIRRA_API_PORT (0: a free one)") from error
    return bound


def _is_local(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def operators(text: str, what: str = "operator") -> dict[str, str]:
    """Read `subject:token` pairs, comma-separated, as token → subject; ValueError says which pair is wrong, not its token."""
    found: dict[str, str] = {}
    for index, pair in enumerate(_pairs(text), start=1):
        subject, separator, token = (part.strip() for part in pair.partition(":"))
        if not (subject and separator and token):
            raise ValueError(f"{what} {index} is not subject:token")
        if not (token.isascii() and token.isprintable()):
            raise ValueError(f"{what} {index}: the token holds characters beyond printable ASCII, which no HTTP header can carry")
        if is_own_name(subject):
            raise ValueError(f"{what} {index} is called {subject}: that is what AIRRA itself decides under; choose another name")
        if token in found:
            raise ValueError(f"{what}s {found[token]} and {subject} have the same token")
        found[token] = subject
    return found


def _pairs(text: str) -> Sequence[str]:
    return [pair for pair in text.split(",") if pair.strip()]
