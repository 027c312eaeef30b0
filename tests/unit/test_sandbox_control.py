"""The control plane: who may act, once under a key, never with an old fencing token, and what it remembers."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from sandbox.control.actions import Change
from sandbox.control.api import ControlApi
from sandbox.control.ledger import Ledger, OtherBodyError, StaleTokenError
from sandbox.control.target import Build, Target, bumped
from sandbox.spec import CacheSpec, Condition, ServiceSpec
from sandbox.web.server import Request

SCALE = {"action": "scale_up", "service": "api", "params": {"workers": 4}}


def target(folder: Path, name: str = "api", *, cache: bool = False) -> Target:
    """Make a service that is not running: what is done to it waits for its process."""
    spec = ServiceSpec(
        name=name,
        host="127.0.0.1",
        port=1,
        seed="1",
        parent=1,
        workers=2,
        worker_cpu=0.03,
        cpu_s=0.001,
        work_s=0.001,
        calls=(),
        metric_names={},
        labels={},
        condition=Condition(),
        cache=CacheSpec(0.9, 0) if cache else None,
    )
    return Target(spec, "1.0.0", {"beta": False}, folder / "log")


class Plane:
    """The API on a ledger, asked directly."""

    def __init__(self, folder: Path, *, test_hooks: bool = False) -> None:
        self.targets = {"api": target(folder), "store": target(folder, "store", cache=True)}
        self.changes: list[Change] = []
        self.ledger = Ledger(folder / "effects.jsonl")
        self.api = ControlApi(self.targets, self.ledger, "secret", self.changes.append, test_hooks=test_hooks, now=lambda: 1000)

    async def ask(self, method: str, path: str, body: object = None, **headers: str) -> tuple[int, dict[str, Any]]:
        named = {"authorization": "Bearer secret", **{name.replace("_", "-"): value for name, value in headers.items()}}
        answer = await self.api.handle(Request(method, path, named, json.dumps(body).encode() if body is not None else b""))
        return answer.status, json.loads(answer.body)

    async def act(self, body: object, key: str = "k1", token: int = 5) -> tuple[int, dict[str, Any]]:
        return await self.ask("POST", "/actions", body, idempotency_key=key, fencing_token=str(token))


@pytest.fixture
def plane(tmp_path: Path) -> Plane:
    return Plane(tmp_path, test_hooks=True)


@pytest.mark.parametrize("header", ["", "secret", "Bearer wrong", "Bearer secret2", "Bearer sécret"])
async def test_without_the_token_nothing_is_told_or_done(plane: Plane, header: str) -> None:
    for method, path in (("GET", "/services"), ("GET", "/log"), ("POST", "/actions"), ("POST", "/test/delay")):
        assert (await plane.ask(method, path, SCALE, authorization=header))[0] == 401
    assert plane.targets["api"].workers == 2


async def test_a_service_is_described(plane: Plane) -> None:
    described = {
        "name": "api",
        "workers": 2,
        "release": "1.0.0",
        "previous_release": None,
        "flags": {"beta": False},
        "incarnation": 0,
        "up": False,
    }
    assert await plane.ask("GET", "/services/api") == (200, described)
    status, body = await plane.ask("GET", "/services")
    assert (status, [one["name"] for one in body["services"]]) == (200, ["api", "store"])
    assert (await plane.ask("GET", "/services/nobody"))[0] == 404
    assert (await plane.ask("GET", "/elsewhere"))[0] == 404


async def test_a_service_is_found_by_a_name_with_a_slash(plane: Plane, tmp_path: Path) -> None:
    plane.targets["team/a"] = target(tmp_path, "team/a")
    assert (await plane.ask("GET", "/services/team%2Fa"))[1]["name"] == "team/a"


@pytest.mark.parametrize("workers", [17, 64])
async def test_the_largest_service_scales_up_to_four_times_its_workers_and_no_further(plane: Plane, workers: int) -> None:
    await plane.targets["api"].scale(workers)
    up = {**SCALE, "params": {"workers": 4 * workers}}
    assert (await plane.act(up))[0] == 200
    assert plane.targets["api"].workers == 4 * workers
    assert (await plane.act({**SCALE, "params": {"workers": 4 * 64 + 1}}, key="k2"))[0] == 400


async def test_an_action_is_done_once_under_its_key(plane: Plane) -> None:
    status, body = await plane.act(SCALE)
    assert (status, body["status"], body["before"]["workers"], body["after"]["workers"]) == (200, "done", 2, 4)
    await plane.targets["api"].scale(7)
    again = await plane.act(SCALE, token=6)
    assert again == (200, body)
    assert plane.targets["api"].workers == 7
    assert plane.changes == [
        {"type": "scale", "service": "api", "at": 1000, "before": "2", "after": "4", "name": "", "by": "control-plane"}
    ]
    status, log = await plane.ask("GET", "/log")
    assert [(effect["key"], effect["status"]) for effect in log["effects"]] == [("k1", "done")]


async def test_the_same_key_with_another_body_is_refused(plane: Plane) -> None:
    await plane.act(SCALE)
    assert (await plane.act({**SCALE, "params": {"workers": 6}}))[0] == 422
    assert plane.targets["api"].workers == 4


async def test_a_stale_fencing_token_is_refused_even_after_a_restart(plane: Plane, tmp_path: Path) -> None:
    await plane.act(SCALE, token=9)
    status, body = await plane.act({**SCALE, "params": {"workers": 8}}, key="k2", token=8)
    assert (status, body["error"]) == (409, "stale_fencing_token")
    reborn = Plane(tmp_path)
    assert (await reborn.act({**SCALE, "params": {"workers": 8}}, key="k3", token=8))[0] == 409
    assert (await reborn.act({**SCALE, "params": {"workers": 8}}, key="k3", token=9))[0] == 200
    assert (await reborn.ask("GET", "/actions/k2"))[1]["status"] == "not_done"


async def test_who_looks_up_with_a_newer_token_shuts_the_older_owner_out(plane: Plane) -> None:
    assert (await plane.ask("GET", "/actions/k1", fencing_token="7"))[1]["status"] == "not_done"
    assert (await plane.act(SCALE, token=6))[0] == 409
    assert (await plane.ask("GET", "/actions/k1", fencing_token="3"))[1]["status"] == "not_done"


async def test_a_look_up_tells_what_became_of_an_action(plane: Plane) -> None:
    await plane.ask("POST", "/test/delay", {"seconds": 0.05, "where": "before"})
    acting = asyncio.ensure_future(plane.act(SCALE))
    await asyncio.sleep(0.01)
    assert (await plane.ask("GET", "/actions/k1"))[1]["status"] == "in_progress"
    assert plane.targets["api"].workers == 2
    assert (await plane.ask("GET", "/services"))[0] == 200  # it goes on serving
    assert (await acting)[0] == 200
    found = (await plane.ask("GET", "/actions/k1"))[1]
    assert (found["status"], found["after"]["workers"], found["fencing_token"]) == ("done", 4, 5)


async def test_an_effect_comes_to_its_end_though_its_caller_has_gone(plane: Plane) -> None:
    await plane.ask("POST", "/test/delay", {"seconds": 0.05, "where": "before"})
    acting = asyncio.ensure_future(plane.act(SCALE))
    await asyncio.sleep(0.01)
    acting.cancel()
    assert (await plane.act(SCALE))[1]["status"] == "done"
    assert len(plane.ledger.effects()) == 1


async def test_a_delay_after_the_effect_leaves_it_done_and_unanswered(plane: Plane) -> None:
    await plane.ask("POST", "/test/delay", {"seconds": 5, "where": "after"})
    acting = asyncio.ensure_future(plane.act(SCALE))
    await asyncio.sleep(0.01)
    assert not acting.done()
    assert (await plane.ask("GET", "/actions/k1"))[1]["status"] == "done"
    acting.cancel()


async def test_hooks_are_there_only_when_asked_for(tmp_path: Path) -> None:
    assert (await Plane(tmp_path).ask("POST", "/test/delay", {"seconds": 1, "where": "before"}))[0] == 404


@pytest.mark.parametrize(
    ("body", "status", "told"),
    [
        ({**SCALE, "action": "reboot"}, 400, "no action 'reboot'"),
        ({**SCALE, "params": {"workers": "4"}}, 400, "params.workers must be int"),
        ({**SCALE, "params": {"workers": True}}, 400, "params.workers must be int"),
        ({**SCALE, "params": {"workers": 1}}, 400, "scale_up goes from 2"),
        ({**SCALE, "params": {"workers": 999}}, 400, "at most 256"),
        ({**SCALE, "params": {}}, 400, "params must be {workers}"),
        ({**SCALE, "params": []}, 400, "params is an object"),
        ({**SCALE, "why": "x"}, 400, "the body is {action, service, params}"),
        ({**SCALE, "service": "nobody"}, 404, "unknown_service"),
        ({"action": "rollback", "service": "api", "params": {"to": "9.9"}}, 400, "never ran release '9.9'"),
        ({"action": "toggle_feature_flag", "service": "api", "params": {"flag": "x", "enabled": False}}, 400, "no flag 'x'"),
        ({"action": "clear_cache", "service": "api"}, 400, "api has no cache"),
        ([SCALE], 400, "not an object"),
        (None, 400, "not JSON"),
    ],
)
async def test_what_cannot_be_done_is_refused_before_anything_is_written(plane: Plane, body: object, status: int, told: str) -> None:
    answer = await plane.act(body)
    assert answer[0] == status
    assert told in json.dumps(answer[1])
    assert plane.ledger.effects() == []
    assert plane.changes == []


@pytest.mark.parametrize("headers", [{"fencing_token": "5"}, {"idempotency_key": "k", "fencing_token": "-1"}, {"idempotency_key": "k"}])
async def test_an_action_needs_both_its_key_and_a_fencing_token(plane: Plane, headers: dict[str, str]) -> None:
    assert (await plane.ask("POST", "/actions", SCALE, **headers))[0] == 400


async def test_flags_and_caches_are_changed_and_the_change_is_told(plane: Plane) -> None:
    await plane.act({"action": "toggle_feature_flag", "service": "api", "params": {"flag": "beta", "enabled": True}}, key="a")
    await plane.act({"action": "clear_cache", "service": "store", "params": {}}, key="b")
    assert plane.targets["api"].flags == {"beta": True}
    assert [(one["type"], one["name"], one["before"], one["after"]) for one in plane.changes] == [
        ("flag", "beta", "false", "true"),
        ("cache", "", "", "cleared"),
    ]


def test_a_flag_and_a_release_make_the_condition(tmp_path: Path) -> None:
    one = target(tmp_path)
    one.builds["1.0.1"] = Build(error_ratio=0.4)
    one.slow_hold_s, one.slow_connections = 0.4, 2
    assert one.condition() == Condition()
    one.release, one.flags = "1.0.1", {"beta": True}
    assert one.condition() == Condition(error_ratio=0.4, slow_hold_s=0.4, slow_connections=2)


@pytest.mark.parametrize(("release", "following"), [("1.0.9", "1.0.10"), ("7", "8"), ("r31", "r31-next"), ("2026.11", "2026.12")])
def test_the_next_release_has_the_next_name(release: str, following: str) -> None:
    assert bumped(release) == following


def test_an_intent_without_an_end_is_a_failure_after_a_restart(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "effects.jsonl")
    ledger.fence(3, 1)
    ledger.begin("k", "restart", "api", {}, 3, 1)
    reborn = Ledger(tmp_path / "effects.jsonl")
    effect = reborn.find("k")
    assert effect is not None
    assert (effect.status, effect.error) == ("failed", "the control plane ended meanwhile")
    with pytest.raises(StaleTokenError):
        reborn.fence(2, 2)
    with pytest.raises(OtherBodyError):
        reborn.known("k", "restart", "store", {})


def test_the_intent_is_on_the_disk_before_the_end(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "effects.jsonl")
    ledger.begin("k", "restart", "api", {}, 3, 1)
    lines = [json.loads(line) for line in (tmp_path / "effects.jsonl").read_text().splitlines()]
    assert [line["entry"] for line in lines] == ["intent"]
    ledger.done("k", 2, {"incarnation": 1}, {"incarnation": 2})
    assert [json.loads(line)["entry"] for line in (tmp_path / "effects.jsonl").read_text().splitlines()] == ["intent", "done"]
