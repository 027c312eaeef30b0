"""The neighbours that the network campaign puts in the way: what they write down is what arrived, whole."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx2
import pytest

from tests.faults.holding import holding
from tests.network import faketime
from tests.network.clickhouse import INSERT
from tests.network.recorder import Heard, Recorder


def test_a_front_hands_on_and_writes_down_what_passed() -> None:
    with Recorder() as behind, Recorder(f"http://{behind.address}") as front:
        answer = httpx2.post(f"http://{front.address}/actions", headers={"Idempotency-Key": "act-1"}, content=b"{}", trust_env=False)
        assert answer.status_code == 204
        assert front.heard == behind.heard == [Heard("POST", "/actions", "act-1", b"{}")]


def test_a_front_that_refuses_hands_on_all_the_same() -> None:
    with Recorder() as behind, Recorder(f"http://{behind.address}") as front:
        front.refuses = lambda heard: heard.method == "POST"
        assert httpx2.post(f"http://{front.address}/actions", content=b"{}", trust_env=False).status_code == 503
        assert len(behind.heard) == 1


def test_what_a_target_says_of_itself_is_held_until_it_is_let_go_and_nothing_else_is() -> None:
    answered = threading.Event()

    def ask() -> None:
        httpx2.get(f"http://{front.address}/services/s1", trust_env=False)
        answered.set()

    with Recorder() as behind, Recorder(f"http://{behind.address}") as front:
        with holding(front) as reached:
            threading.Thread(target=ask, daemon=True).start()
            assert reached.wait(10)
            assert httpx2.post(f"http://{front.address}/actions", content=b"{}", trust_env=False).status_code == 204
            assert not answered.is_set()
        assert answered.wait(10)


@pytest.mark.parametrize("cut", [30, 75, 118])
def test_a_request_that_is_cut_never_arrived(cut: int) -> None:
    request = b"POST /actions HTTP/1.1\r\nHost: here\r\nIdempotency-Key: act-1234567890\r\nContent-Length: 40\r\n\r\n" + b"x" * 40
    with Recorder() as front:
        host, port = front.address.split(":")
        with socket.create_connection((host, int(port)), timeout=5) as connection:
            connection.sendall(request[:cut])
            connection.shutdown(socket.SHUT_WR)
            assert connection.recv(100) == b""
        assert front.heard == []


def test_the_data_of_an_insert_may_begin_with_any_byte() -> None:
    found = INSERT.match(b"INSERT INTO t (`a`) FORMAT Native\n\x0b\x0adata")
    assert found is not None
    assert found[2] == b"Native"
    assert found.string[found.end() :] == b"\x0b\x0adata"


def test_a_wrong_clock_is_wrong_by_what_it_is_set_to_and_time_goes_on(tmp_path: Path) -> None:
    try:
        clock = faketime.WrongClock(tmp_path / "clock")
    except faketime.Missing as lacking:
        pytest.skip(str(lacking))
    clock.step(-3600.0)
    told = "import time; print(time.time(), time.monotonic())"
    said = subprocess.run([sys.executable, "-c", told], env=clock.environment, capture_output=True, text=True, check=True).stdout.split()
    assert float(said[0]) == pytest.approx(time.time() - 3600.0, abs=30.0)
    assert float(said[1]) == pytest.approx(time.monotonic(), abs=30.0)


WAIT = """
import ctypes, time
libc, condition, mutex = ctypes.CDLL(None), ctypes.create_string_buffer(64), ctypes.create_string_buffer(64)
assert libc.cnd_init(condition) == libc.mtx_init(mutex, 0) == libc.mtx_lock(mutex) == 0
until, begun = time.time() + 0.3, time.monotonic()
libc.cnd_timedwait(condition, mutex, (ctypes.c_long * 2)(int(until), int(until % 1 * 1e9)))
print(time.monotonic() - begun)
"""


@pytest.mark.parametrize("apart_s", [-3600.0, 3600.0])
def test_a_wait_of_librdkafka_s_kind_is_as_long_as_it_says_by_a_wrong_clock(apart_s: float, tmp_path: Path) -> None:
    try:
        clock = faketime.WrongClock(tmp_path / "clock")
    except faketime.Missing as lacking:
        pytest.skip(str(lacking))
    clock.step(apart_s)
    told = subprocess.run(
        [sys.executable, "-c", WAIT], env=clock.environment, capture_output=True, text=True, check=True, timeout=60
    ).stdout
    assert 0.29 <= float(told) < 30.0
