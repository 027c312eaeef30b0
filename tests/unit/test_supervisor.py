"""The supervisor restarts what exits, ever more slowly, and leaves nothing behind."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from cli.demo import sandbox as sandboxes
from cli.demo.command import DEFAULT_SCENARIO
from cli.demo.sandbox import faults
from cli.processes import BACKOFF_S, ROOT, Child, Supervisor, our_env, role_command, role_env

SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]
EXIT = [sys.executable, "-c", "raise SystemExit(3)"]


def until(condition: Callable[[], bool], limit_s: float = 20.0) -> None:
    deadline = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true"
        time.sleep(0.02)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_killed_child_is_started_again_and_stop_ends_all(tmp_path: Path) -> None:
    supervisor = Supervisor([Child("role", SLEEP, dict(os.environ))], tmp_path)
    supervisor.start()
    try:
        first = supervisor.pid("role")
        assert first is not None
        os.kill(first, 9)
        until(lambda: supervisor.pid("role") not in (None, first))
    finally:
        second = supervisor.pid("role")
        supervisor.stop()
    assert second is not None
    assert not alive(second)
    assert supervisor.children["role"].restarts == 1


def test_a_child_that_keeps_failing_is_started_ever_more_slowly() -> None:
    now = [0.0]
    child = Child("role", EXIT, dict(os.environ))
    supervisor = Supervisor([child], None, clock=lambda: now[0])
    supervisor._start(child)
    waits = []
    for _ in BACKOFF_S:
        assert child.process is not None
        child.process.wait()
        supervisor.step()
        waits.append(child.due - now[0])
        now[0] = child.due
        supervisor.step()
    assert waits == [*BACKOFF_S[1:], BACKOFF_S[-1]]
    assert child.process is not None
    child.process.wait()


def refusing(tmp_path: Path, code: str, told: list[str]) -> Supervisor:
    children = [Child("role", [sys.executable, "-c", code], dict(os.environ)), Child("other", SLEEP, dict(os.environ))]
    return Supervisor(children, tmp_path, on_refused=lambda: told.append("refused"))


def test_a_child_that_says_its_configuration_is_wrong_is_not_started_again(tmp_path: Path) -> None:
    (tmp_path / "role.log").write_text("airra: of an earlier run\n")
    told: list[str] = []
    code = """
import sys
print('{"event": "role_started"}', file=sys.stderr)
print("airra: runbooks.yaml: runbooks.0.action: reboot is none", file=sys.stderr)
print("runbooks.yaml: min_confidense is not known here", file=sys.stderr)
sys.exit(2)
"""
    supervisor = refusing(tmp_path, code, told)
    supervisor.start()
    try:
        until(lambda: bool(told))
        until(lambda: supervisor.refused is not None)
        supervisor.step()
    finally:
        supervisor.stop()
    assert told == ["refused"]
    assert supervisor.refused == ("role: runbooks.yaml: runbooks.0.action: reboot is none\nrunbooks.yaml: min_confidense is not known here")
    assert supervisor.children["role"].restarts == 0


def test_a_child_that_refuses_without_a_word_names_its_log(tmp_path: Path) -> None:
    told: list[str] = []
    supervisor = refusing(tmp_path, "raise SystemExit(2)", told)
    supervisor.start()
    try:
        until(lambda: bool(told))
    finally:
        supervisor.stop()
    assert supervisor.refused == f"role: see {tmp_path / 'role.log'}"


def test_a_folder_of_the_users_does_not_come_before_our_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("sandbox", "schemas"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise SystemExit('the wrong one')")
    monkeypatch.chdir(tmp_path)
    assert [fault["name"] for fault in faults(DEFAULT_SCENARIO)]
    answer = subprocess.run(role_command("nonsense"), env=role_env({}), capture_output=True, text=True, check=False)
    assert (answer.returncode, "the roles are" in answer.stderr) == (2, True), answer.stderr


def test_children_run_the_code_that_we_run(monkeypatch: pytest.MonkeyPatch) -> None:
    assert our_env({"PYTHONPATH": "/mine"})["PYTHONPATH"] == f"{ROOT}{os.pathsep}/mine"
    monkeypatch.delenv("PYTHONPATH", raising=False)
    command = [sys.executable, "-P", "-c", "import cli; print(cli.__file__)"]
    answer = subprocess.run(command, env=role_env({}), capture_output=True, text=True, check=True, cwd="/")
    assert answer.stdout.strip() == str(ROOT / "cli" / "__init__.py")


def test_the_sandboxs_own_processes_are_not_started_in_the_users_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, object] = {}

    def spawn(command: list[str], env: dict[str, str], **more: object) -> subprocess.Popen[bytes]:
        asked.update(more, command=command, env=env)
        return subprocess.Popen([sys.executable, "-c", ""], stdout=subprocess.PIPE)

    monkeypatch.setattr(sandboxes, "spawn", spawn)
    monkeypatch.chdir(tmp_path)
    sandboxes.Sandbox(Path("mine.yaml"), "leak", 1, "127.0.0.1:9", Path("work"), "token").stop()
    assert asked["cwd"] == tmp_path / "work"
    command = asked["command"]
    assert isinstance(command, list)
    assert str(tmp_path / "mine.yaml") in command
    assert command[1:4] == ["-P", "-m", "sandbox"]


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's parent-death signal is Linux's")
def test_children_do_not_outlive_a_killed_parent(tmp_path: Path) -> None:
    code = f"""
import os, sys, time
from cli.demo import sandbox as sandboxes
from cli.demo.command import DEFAULT_SCENARIO
from cli.demo.sandbox import faults
from cli.processes import Child, Supervisor, role_command, role_env
s = Supervisor([Child("role", {SLEEP!r}, dict(os.environ))], None)
s.start()
print(s.pid("role"), flush=True)
time.sleep(60)
"""
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    assert alive(child)
    parent.kill()
    parent.wait()

    def gone() -> bool:
        try:
            return Path(f"/proc/{child}/stat").read_text().split()[2] == "Z"
        except FileNotFoundError:
            return True

    until(gone)
