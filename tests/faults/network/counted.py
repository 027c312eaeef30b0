"""A proxy between two taps: what it did to the traffic while it did harm is what went into it, or what of that did not come out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from tests.faults.network.tap import DOWN, UP, Tap
from tests.network.toxiproxy import Toxic, Toxiproxy

DID = {"latency": "delayed", "bandwidth": "slowed", "timeout": "dropped", "limit_data": "cut off"}  # by a toxic's kind
LATE = ("latency", "bandwidth")  # what these do to bytes, they do to all of them; of the others' some come out
KB_FROM = 10_000  # bytes


@dataclass(frozen=True)
class Met:
    """What a trouble did, and to how much; nothing where it met nothing."""

    did: str
    up: int = 0  # bytes of requests
    down: int = 0  # bytes of answers
    connections: int = 0  # that carried them, or that were cut

    def __bool__(self) -> bool:
        return self.up + self.down > 0 and self.connections > 0

    def __str__(self) -> str:
        parts = [f"{_size(size)} {way}" for size, way in ((self.up, "up"), (self.down, "down")) if size]
        return f"met: {' and '.join(parts) or 'nothing'} {self.did} on {self.connections} connection{'s' * (self.connections != 1)}"


class Harming(Protocol):
    """What does the harm: a toxiproxy."""

    def harm(self, *toxics: Toxic) -> None: ...
    def heal(self) -> None: ...
    def cut(self) -> None: ...


class Counted:
    """What is used as the proxy: its own clients come to the near tap, and it comes to its server by the far one."""

    def __init__(self, proxy: Harming, near: Tap, far: Tap) -> None:
        self._proxy = proxy
        self._near = near
        self._far = far
        self._harm: tuple[Toxic, ...] = ()
        self._met = Met("harmed")
        self.address = near.address
        self.url = f"http://{near.address}"

    @property
    def met(self) -> Met:
        """Tell what the trouble has done so far, or did until it was lifted."""
        return self._count() if self._harm else self._met

    def harm(self, *toxics: Toxic) -> None:
        self._proxy.harm(*toxics)
        self._near.anew()
        self._far.anew()
        self._harm = toxics

    def heal(self) -> None:
        self._end()
        self._proxy.heal()

    def cut(self) -> None:
        """Close every connection; see Proxy.cut."""
        self._end()
        self._proxy.cut()

    def _end(self) -> None:
        self._met, self._harm = self.met, ()

    def _count(self) -> Met:
        kind, ways = self._harm[0].kind, {toxic.stream for toxic in self._harm}
        into = {UP: self._near, DOWN: self._far}
        out = {UP: self._far, DOWN: self._near}
        came = {way: into[way].carried(way) for way in ways}
        met = {way: sum(sizes) - (0 if kind in LATE else sum(out[way].carried(way))) for way, sizes in came.items()}
        connections = self._near.hung_up if kind == "limit_data" else max(len(sizes) for sizes in came.values())
        return Met(DID[kind], max(0, met.get(UP, 0)), max(0, met.get(DOWN, 0)), connections)


@contextmanager
def counted(proxies: Toxiproxy, name: str, upstream: str, port: int = 0) -> Iterator[Counted]:
    """Lead from a port of this machine (a free one) through a new proxy to `upstream`, host:port."""
    with Tap(upstream) as far:
        proxy = proxies.proxy(name, far.address)
        with Tap(proxy.address, port) as near:
            yield Counted(proxy, near, far)


def _size(count: int) -> str:
    return f"{count} B" if count < KB_FROM else f"{count / 1000:.0f} kB"
