"""A free port is none that the kernel may hand to a client in the next moment."""

from pathlib import Path

import pytest

from streams.harness import embedded


def test_free_ports_lie_below_those_of_clients(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = tmp_path / "ip_local_port_range"
    told.write_text("12000\t60999\n")
    monkeypatch.setattr(embedded, "_CLIENT_PORTS", told)
    ports = {embedded.free_port() for _ in range(50)}
    assert len(ports) > 40
    assert max(ports) < 12_000
