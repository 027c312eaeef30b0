"""One run: start everything, let the sandbox break, follow the records to the end, read the outcome back."""

from __future__ import annotations

import contextlib
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from clickhouse_connect.driver.exceptions import ClickHouseError

from api.client import ApiClient, ApiError
from cli.demo.ending import SILENCE_S, WARM_UP_S, Asked, Until, armed_for, ended, injected_within, waiting
from cli.demo.sandbox import Sandbox
from cli.demo.stack import Stack
from cli.demo.story import Fault, Story
from cli.roles import ROLES
from cli.watch import Watch
from cli.wiring import now_ms
from schemas.approvals import Proposal
from schemas.kinds import Mode
from streams.harness.errors import Retryable
from streams.sink.store import connect

APPROVE_S = 60.0  # an API that was killed is back long before
READ_BACK_S = 20.0  # the sink flushes every second or so

Say = Callable[[str], None]
Approver = Callable[["Run", Proposal], Mode | None]  # None: decided elsewhere, or rejected there
Observer = Callable[["Run", object], None]  # sees every record after the story; fault campaigns kill from here


@dataclass
class Plan:
    """What to run."""

    scenario: Path
    fault: dict[str, Any] | None  # as the sandbox lists it; None: no fault
    seed: int
    seconds: float | None  # without a fault: how long
    directory: Path
    bootstrap: str | None = None
    config_dir: Path | None = None
    settings: dict[str, Any] = field(default_factory=dict)  # more settings of the roles
    test_hooks: bool = False  # of the sandbox
    thinking_s: float = 0.0  # of a person who is asked: acting stays armed meanwhile
    until: Until = Until.VERDICT


class Run:
    """Drives one run; `story` holds what happened."""

    def __init__(self, plan: Plan, say: Say, approve: Approver, observe: Observer | None = None) -> None:
        self.plan = plan
        self._observe = observe
        self.control_url = ""
        self.control_token = secrets.token_urlsafe(24)
        self.story = Story()
        self.stack: Stack | None = None
        self._say = say
        self._approve = approve
        self._changed = threading.Condition()
        self._began = time.monotonic()
        self._asked_about: set[str] = set()
        self._asked = Asked()
        self._sandbox_ended = False

    def run(self) -> dict[str, Any]:
        """Run to the end; return the result document."""
        plan = self.plan
        settings: dict[str, Any] = {"config_dir": plan.config_dir} if plan.config_dir else {}
        with contextlib.ExitStack() as closing:
            stack = closing.enter_context(Stack(plan.directory, {**settings, "dry_run_mode": False, **plan.settings}, plan.bootstrap))
            self.stack = stack
            self._say(f"broker {stack.bootstrap}; working in {plan.directory}")
            sandbox = Sandbox(
                plan.scenario,
                plan.fault["name"] if plan.fault else "none",
                plan.seed,
                stack.bootstrap,
                plan.directory / "sandbox",
                self.control_token,
                warm_up_s=WARM_UP_S + waiting(plan.fault or {}),
                test_hooks=plan.test_hooks,
            )
            closing.callback(sandbox.stop)
            self._start(stack, sandbox)
            watch = Watch(stack.kafka.confluent(), self._take)
            watch.start()
            closing.callback(watch.stop)
            self._to_the_end()
            row = self._read_back()
            return self.story.result(row, time.monotonic() - self._began)

    def _start(self, stack: Stack, sandbox: Sandbox) -> None:
        ready = sandbox.wait_ready()
        self.control_url = ready["control_url"]
        threading.Thread(target=self._follow_sandbox, args=(sandbox,), name="sandbox-follow", daemon=True).start()
        stack.start_roles(
            executor="http",
            executor_url=self.control_url,
            executor_token=self.control_token,
            topology_file=ready["topology"],
            metrics_file=ready["metrics"],
        )
        stack.wait_ready([role for role in ROLES if role != "control"])
        stack.arm(armed_for(self.plan.fault, self.plan.seconds, self.plan.thinking_s))
        self._say(f"every role is ready; page: http://127.0.0.1:{stack.address('api', 'api_port')}/")

    def approve(self, proposal: Proposal, mode: Mode) -> None:
        """Approve through the API, as the demo's operator; the same command again while the API is away."""
        assert self.stack is not None  # noqa: S101 - called from within a run
        deadline = time.monotonic() + APPROVE_S
        while True:
            try:
                url = f"http://127.0.0.1:{self.stack.address('api', 'api_port')}"
                with ApiClient(url, self.stack.operator_token) as api:
                    api.approve(proposal.id, "demo-operator", mode, key=f"demo-{proposal.id}")
            except (ApiError, RuntimeError) as error:
                away = isinstance(error, RuntimeError) or error.status in (0, 503)
                if away and time.monotonic() < deadline:
                    time.sleep(0.5)
                    continue
                self._say(f"the approval was not taken: {error}")
            return

    def _take(self, event: object, at: int) -> None:
        with self._changed:
            for line in self.story.take(event, at):
                self._say(line)
            self._changed.notify_all()
        if self._observe is not None:
            self._observe(self, event)

    def _follow_sandbox(self, sandbox: Sandbox) -> None:
        while (event := sandbox.events.get()) is not None:
            with self._changed:
                if event["event"] == "warm_up":
                    self._say(f"clean traffic, {event['seconds_left']} s before the fault")
                elif event["event"] == "fault_injected":
                    expected = (self.plan.fault or {}).get("expected") or {}
                    self.story.fault = Fault(
                        event["fault"], event["kind"], event["service"], event["at"], expected.get("root_cause"), expected.get("action")
                    )
                    self._say(f"FAULT {event['fault']} ({event['kind']}) injected into {event['service']}")
                self._changed.notify_all()
        with self._changed:
            self._sandbox_ended = True
            self._changed.notify_all()

    def _to_the_end(self) -> None:
        """Wait for the end of the story: its outcome, its abstention, or its silence."""
        started = time.monotonic()
        while True:
            with self._changed:
                self._changed.wait(0.25)
                if self._sandbox_ended:
                    raise RuntimeError(f"the sandbox ended; see {self.plan.directory / 'sandbox' / 'sandbox.log'}")
                pending = self.story.pending()
                over = self._over(time.monotonic() - started)
            if over:
                return
            if pending is not None and pending.id not in self._asked_about:
                self._ask(pending)

    def _ask(self, pending: Proposal) -> None:
        self._asked_about.add(pending.id)
        mode = self._approve(self, pending)
        if mode is None:
            self._asked = replace(self._asked, elsewhere=self._asked.elsewhere | {pending.id})
            return
        self.approve(pending, mode)
        self._asked = replace(self._asked, answered_at=now_ms())

    def _over(self, since_start: float) -> bool:
        fault = self.plan.fault
        if fault is None:
            return since_start >= (self.plan.seconds or SILENCE_S)
        if self.story.fault is not None:
            return ended(self.story, fault.get("expected") or {}, self._asked, now_ms(), self.plan.until)
        if since_start > injected_within(fault):
            raise RuntimeError(f"the fault was not injected within {injected_within(fault):.0f} s; see {self.plan.directory / 'sandbox'}")
        return False

    def _read_back(self) -> dict[str, Any] | None:
        """Read the outcome's row through ClickHouse."""
        if not self.story.outcomes:
            return None
        action = next(iter(self.story.outcomes))
        deadline = time.monotonic() + READ_BACK_S
        while time.monotonic() < deadline:
            try:
                found = self.query("SELECT * FROM outcomes FINAL WHERE action = {action:String}", {"action": action})
            except (ClickHouseError, Retryable, OSError, RuntimeError):
                found = []  # the sink is being restarted
            if found:
                self._say("outcome row read back through ClickHouse")
                return found[0] if len(found) == 1 else {**found[0], "duplicates": len(found)}
            time.sleep(0.3)
        return None

    def query(self, sql: str, parameters: dict[str, Any] | None = None) -> list[dict[str, Any]]:
        """Ask the store, through its read-only port."""
        assert self.stack is not None  # noqa: S101 - called from within a run
        client = connect(f"http://127.0.0.1:{self.stack.address('sink', 'store_port')}", "")
        try:
            return list(client.query(sql, parameters).named_results())
        finally:
            client.close()
