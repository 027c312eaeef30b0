"""A real toxiproxy for tests: a TCP proxy that delays, drops, cuts and throttles on request; it cannot outlive the test run."""

from __future__ import annotations

import ctypes
import fcntl
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import httpx2

from streams.harness.embedded import free_port

REPO = Path(__file__).parents[2]
VERSION = "v2.12.0"
MODULE = f"github.com/Shopify/toxiproxy/v2/cmd/server@{VERSION}"
HOME = REPO / ".build" / "toxiproxy"
FETCH_WITHIN_S = 300.0
SERVES_WITHIN_S = 10.0
PR_SET_PDEATHSIG = 1


class Missing(Exception):
    """What this machine lacks to run toxiproxy."""


def fetch() -> Path:
    """Build toxiproxy once and return the binary; two runs side by side wait for each other. Raises Missing, in words."""
    HOME.mkdir(parents=True, exist_ok=True)
    binary, done = HOME / "server", HOME / "complete"
    with (HOME.parent / "toxiproxy.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if done.exists() and done.read_text() == MODULE and binary.exists():
            return binary
        if (go := shutil.which("go")) is None:
            raise Missing("go is not installed (it builds toxiproxy)")
        environment = {**os.environ, "GOBIN": str(HOME)}
        try:
            built = subprocess.run(
                [go, "install", MODULE], env=environment, capture_output=True, text=True, check=False, timeout=FETCH_WITHIN_S
            )
        except subprocess.TimeoutExpired:
            raise Missing(f"go did not build toxiproxy within {FETCH_WITHIN_S:.0f} s") from None
        if built.returncode:
            raise Missing(f"go could not build toxiproxy: {built.stderr[-600:].strip()}")
        done.write_text(MODULE)
    return binary


@dataclass(frozen=True)
class Toxic:
    """What a proxy does to one direction: `upstream` is from the client to the server, `downstream` back."""

    kind: str  # toxiproxy's own types
    stream: str
    attributes: tuple[tuple[str, int], ...] = ()

    def request(self, name: str) -> dict[str, Any]:
        return {"name": name, "type": self.kind, "stream": self.stream, "toxicity": 1.0, "attributes": dict(self.attributes)}


class Proxy:
    """One port of ours in front of one of theirs."""

    def __init__(self, api: httpx2.Client, name: str, port: int) -> None:
        self._api = api
        self.name = name
        self.port = port

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        return f"http://{self.address}"

    def aim(self, upstream: str) -> None:
        """Lead to another server from now on."""
        self._api.post(f"/proxies/{self.name}", json={"upstream": upstream, "enabled": True}).raise_for_status()

    def harm(self, *toxics: Toxic) -> None:
        for number, toxic in enumerate(toxics):
            self._api.post(f"/proxies/{self.name}/toxics", json=toxic.request(f"toxic{number}")).raise_for_status()

    def heal(self) -> None:
        """Take every toxic away; connections that lost bytes are closed by it, as TCP's own end of patience would."""
        for toxic in self._api.get(f"/proxies/{self.name}/toxics").raise_for_status().json():
            self._api.delete(f"/proxies/{self.name}/toxics/{toxic['name']}").raise_for_status()

    def cut(self) -> None:
        """Close every connection and begin anew without toxics: of one that holds answers back, each dead connection takes seconds to heal."""
        made = self._api.get(f"/proxies/{self.name}").raise_for_status().json()
        self._api.delete(f"/proxies/{self.name}").raise_for_status()
        again = {name: made[name] for name in ("name", "listen", "upstream")}
        self._api.post("/proxies", json={**again, "enabled": True}).raise_for_status()

    @contextmanager
    def harmed(self, *toxics: Toxic) -> Iterator[None]:
        self.harm(*toxics)
        try:
            yield
        finally:
            self.heal()


class Toxiproxy:
    """The server; use as a context."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self._api = httpx2.Client(timeout=10.0)

    def __enter__(self) -> Self:
        binary, port = fetch(), free_port()
        self._folder.mkdir(parents=True, exist_ok=True)
        libc = ctypes.CDLL(None)
        with (self._folder / "toxiproxy.log").open("ab") as log:
            self._process = subprocess.Popen(
                [str(binary), "-host", "127.0.0.1", "-port", str(port)],
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
                preexec_fn=lambda: libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL),  # noqa: PLW1509 - one system call
            )
        self._api = httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=10.0, trust_env=False)
        self._wait()
        return self

    def __exit__(self, *_: object) -> None:
        self._api.close()
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def proxy(self, name: str, upstream: str, port: int | None = None) -> Proxy:
        """Listen on a port of this machine (a free one) and lead to `upstream`, host:port."""
        port = port or free_port()
        told = {"name": name, "listen": f"127.0.0.1:{port}", "upstream": upstream, "enabled": True}
        self._api.post("/proxies", json=told).raise_for_status()
        return Proxy(self._api, name, port)

    def _wait(self) -> None:
        deadline = time.monotonic() + SERVES_WITHIN_S
        while True:
            try:
                self._api.get("/version").raise_for_status()
                return
            except httpx2.HTTPError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)
