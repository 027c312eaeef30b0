"""Ctrl-C in a demo, while it starts and when it runs: it ends, and leaves no process and no port behind."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).resolve().parents[2]
WITHIN_S = 120.0


def ports(processes: list[psutil.Process]) -> set[int]:
    return {each.laddr.port for process in processes for each in process.net_connections("tcp") if each.status == psutil.CONN_LISTEN}


@pytest.mark.skipif(sys.platform != "linux", reason="sessions and parents as Linux has them")
@pytest.mark.timeout(300)
@pytest.mark.parametrize("when", ["clean traffic", "every role is ready"])
def test_ctrl_c_leaves_nothing_behind(when: str, tmp_path: Path) -> None:
    env = {name: value for name, value in os.environ.items() if not name.startswith("AIRRA_")}
    command = [sys.executable, "-m", "cli.main", "demo", "--fault", "none", "--seconds", "600", "--yes"]
    said = tmp_path / "said"
    with said.open("w") as output:
        # A shell's background job ignores SIGINT and hands that on: a terminal's does not.
        demo = psutil.Popen(
            command, cwd=ROOT, env=env, stdout=output, stderr=output, stdin=subprocess.DEVNULL, start_new_session=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )  # fmt: skip
    code = None
    try:
        deadline = time.monotonic() + WITHIN_S
        while not re.search(when, said.read_text()):
            assert demo.poll() is None, said.read_text()
            assert time.monotonic() < deadline, said.read_text()
            time.sleep(0.1)
        children = demo.children(recursive=True)
        assert children
        listening = ports([demo, *children])
        assert listening
        demo.send_signal(signal.SIGINT)
        with contextlib.suppress(psutil.TimeoutExpired):
            code = demo.wait(60)
    finally:
        left = demo.children(recursive=True) if demo.is_running() else []
        for process in [demo, *left]:
            if process.is_running():
                process.kill()
    assert code == 130, said.read_text()
    _, alive = psutil.wait_procs(children, timeout=5)
    assert alive == []
    assert not listening & {each.laddr.port for each in psutil.net_connections("tcp") if each.status == psutil.CONN_LISTEN}
    assert "Traceback" not in said.read_text()
