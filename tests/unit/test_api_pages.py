"""The pages: readable, deciding without JavaScript, closed to forged forms, and safe from hostile text."""

import re

import pytest

from api import present
from api.auth import COOKIE, SESSION_MS, Gate
from schemas import topics
from schemas.actions import ActionSpec
from schemas.approvals import Explanation
from schemas.kinds import ActionName
from schemas.signals import Season, Tick, Usual
from tests.api_world import ALICE, BOB, NOW, World, approval, evidence, incident, proposal

EVIL = '"><script>alert(1)</script><img src=x onerror=alert(1)>{{7*7}}'


@pytest.fixture
def world():
    world = World()
    world.open_incident()
    world.propose()
    return world


async def sign_in(client, token=ALICE):
    answer = await client.post("/login", data={"token": token, "next": "/"})
    assert answer.status_code == 303, answer.text
    # The cookie is for http and an address; hand it on by hand so that the test does not depend on the client's jar.
    client.cookies.set(COOKIE, re.search(rf"{COOKIE}=([^;]+)", answer.headers["set-cookie"])[1])
    return answer


def fields(html, action):
    form = re.search(rf'<form method="post" action="{re.escape(action)}">(.*?)</form>', html, re.DOTALL)[1]
    return dict(re.findall(r'name="(\w+)" value="([^"]*)"', form.split("<button")[0]))


async def test_a_proposal_says_what_an_operator_needs(world):
    async with world.client() as client:
        await sign_in(client)
        html = (await client.get("/proposals/prp-1")).text
    for expected in (
        "inventory: memory leak",
        "restart inventory",
        "81 %",  # confidence
        "base +0.28",
        "medium (31 %)",
        "cannot be undone",
        "Expires in 10 min 0 s",
        "98 Mbytes",  # before
        "412 Mbytes",  # now
        "<polyline",
        "do nothing",
        "memory rises without the load rising",
        "Approve dry run",
        "Approve live: restart inventory",
        "Reject",
        "not armed",
    ):
        assert expected in html, expected
    assert "<script" not in html


async def test_what_is_usual_at_this_time_stands_under_the_band():
    world = World()
    suspect = incident().suspects[0].model_copy(update={"evidence": evidence(usual=Usual(value=380e6, season=Season.DAY))})
    world.put(topics.INCIDENTS, "inc-1", incident().model_copy(update={"suspects": (suspect,)}))
    world.propose()
    async with world.client() as client:
        await sign_in(client)
        html = (await client.get("/proposals/prp-1")).text
    assert "<br><small>380 Mbytes is usual in this hour of other days</small>" in html


async def test_home_lists_what_waits_and_the_incidents(world):
    async with world.client() as client:
        await sign_in(client)
        html = (await client.get("/")).text
        shown = await client.get("/incidents/inc-1")
    assert 'href="/proposals/prp-1"' in html
    assert 'href="/incidents/inc-1"' in html
    assert "pending approval" in html
    assert shown.status_code == 200
    assert "inventory leaks memory" in shown.text


@pytest.mark.parametrize("mode", ["dry_run", "live"])
async def test_a_button_approves_the_mode_and_digest_that_the_page_showed(world, mode):
    async with world.client() as client:
        await sign_in(client)
        form = fields((await client.get("/proposals/prp-1")).text, "/proposals/prp-1/approve")
        answer = await client.post("/proposals/prp-1/approve", data={**form, "mode": mode})
        assert (answer.status_code, answer.headers["location"]) == (303, "/proposals/prp-1")
        again = await client.post("/proposals/prp-1/approve", data={**form, "mode": mode})
        assert again.status_code == 303, "a double click is one command"
        html = (await client.get("/proposals/prp-1")).text
    decision = world.model.decisions.get("prp-1")
    assert (decision.subject, decision.digest) == ("alice", getattr(proposal().digests, mode))
    assert len(world.commands()) == 1
    assert "<strong>approved</strong> by <strong>alice</strong>" in html
    assert "Approve live" not in html


async def test_rejecting_needs_a_reason_and_keeps_it(world):
    async with world.client() as client:
        await sign_in(client)
        form = fields((await client.get("/proposals/prp-1")).text, "/proposals/prp-1/reject")
        assert (await client.post("/proposals/prp-1/reject", data={**form, "reason": ""})).status_code == 422
        assert world.commands() == []
        assert (await client.post("/proposals/prp-1/reject", data={**form, "reason": "not tonight"})).status_code == 303
    assert world.model.decisions.get("prp-1").reason == "not tonight"


async def test_the_loser_sees_on_the_page_who_was_first(world):
    async with world.client() as client, world.client(BOB) as other:
        await sign_in(client)
        form = fields((await client.get("/proposals/prp-1")).text, "/proposals/prp-1/approve")
        assert (await other.post("/api/v1/approvals/prp-1/approve", json=approval("bob"))).status_code == 200
        late = await client.post("/proposals/prp-1/approve", data={**form, "mode": "live"})
    assert late.status_code == 409
    assert "Decided by <strong>bob</strong> at 2027-01-15 08:00:00 UTC: approved" in late.text
    assert world.model.decisions.get("prp-1").mode == "dry_run"


@pytest.mark.parametrize("forged", ["", "0" * 64, "of bob"])
async def test_a_form_without_its_csrf_token_decides_nothing(world, forged):
    async with world.client() as client, world.client() as other:
        await sign_in(client)
        await sign_in(other, BOB)
        form = fields((await client.get("/proposals/prp-1")).text, "/proposals/prp-1/approve")
        token = fields((await other.get("/proposals/prp-1")).text, "/proposals/prp-1/approve")["csrf"] if forged == "of bob" else forged
        answer = await client.post("/proposals/prp-1/approve", data={**form, "csrf": token, "mode": "live"})
        rejected = await client.post("/proposals/prp-1/reject", data={**form, "csrf": token, "reason": "x"})
        out = await client.post("/logout", data={"csrf": token})
    assert (answer.status_code, rejected.status_code, out.status_code) == (403, 403, 403)
    assert world.commands() == []


async def test_a_form_that_another_site_sends_decides_nothing(world):
    async with world.client() as client:
        await sign_in(client)
        form = fields((await client.get("/proposals/prp-1")).text, "/proposals/prp-1/approve")
        answer = await client.post("/proposals/prp-1/approve", data={**form, "mode": "live"}, headers={"sec-fetch-site": "cross-site"})
    assert answer.status_code == 403
    assert world.commands() == []


async def test_without_a_session_pages_ask_to_sign_in_and_forms_are_refused(world):
    async with world.client() as client:
        asked = await client.get("/proposals/prp-1")
        assert (asked.status_code, asked.headers["location"]) == (303, "/login?next=/proposals/prp-1")
        digests = proposal().digests
        form = {"csrf": "x", "request_id": "1", "mode": "live", "digest_dry_run": digests.dry_run, "digest_live": digests.live}
        assert (await client.post("/proposals/prp-1/approve", data=form)).status_code == 401
        assert (await client.post("/login", data={"token": "wrong"})).status_code == 401
    assert world.commands() == []


async def test_the_session_cookie_is_out_of_reach_and_not_the_token(world):
    async with world.client() as client:
        cookie = (await sign_in(client)).headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert ALICE not in cookie


@pytest.mark.parametrize("target", ["https://evil.example", "//evil.example", "/\\evil.example", "javascript:alert(1)", "/ok\r\nx: y"])
async def test_signing_in_leads_to_this_site_only(world, target):
    async with world.client() as client:
        answer = await client.post("/login", data={"token": ALICE, "next": target})
    assert answer.headers["location"] == "/"


def test_a_session_ends_and_cannot_be_forged():
    gate = Gate({ALICE: "alice"}, b"secret")
    cookie = gate.open_session("alice", NOW)
    assert gate.session(cookie, NOW).subject == "alice"
    assert gate.session(cookie, NOW + SESSION_MS) is None
    assert Gate({ALICE: "alice"}, b"another process").session(cookie, NOW) is None
    claim, _, signature = cookie.partition(".")
    for forged in (None, "", ".", claim, f"{claim}x.{signature}", f"{claim}.{signature[:-1]}0", "é.é"):
        if forged != cookie:
            assert gate.session(forged, NOW) is None


async def test_without_operators_the_pages_show_everything_and_no_form():
    world = World(tokens={})
    world.open_incident()
    world.propose()
    async with world.client() as client:
        html = (await client.get("/proposals/prp-1")).text
    assert "restart inventory" in html
    assert "no operator is configured" in html.lower()
    assert "<form" not in html


async def test_an_expired_proposal_has_no_buttons(world):
    world.now = NOW + 600_001
    world.put(topics.APPROVALS, "tick", Tick(at=world.now))
    async with world.client() as client:
        await sign_in(client)
        html = (await client.get("/proposals/prp-1")).text
    assert "expired" in html
    assert "Approve live" not in html


async def test_a_host_whose_clock_is_ahead_warns_and_keeps_the_buttons_that_the_log_still_takes(world):
    world.now = NOW + 600_001
    async with world.client() as client:
        await sign_in(client)
        html = (await client.get("/proposals/prp-1")).text
        assert "It may have expired" in html
        assert "Approve live" in html
        world.now = NOW  # of the broker, which appends
        form = fields(html, "/proposals/prp-1/approve")
        assert (await client.post("/proposals/prp-1/approve", data={**form, "mode": "live"})).status_code == 303
    assert world.model.decisions.get("prp-1").mode == "live"


async def test_an_abstention_says_that_a_person_must_look():
    world = World()
    world.open_incident()
    world.propose(abstain=True)
    async with world.client() as client:
        await sign_in(client)
        html = (await client.get("/proposals/prp-1")).text
    assert "AIRRA abstains (low confidence)" in html
    assert "Approve" not in html


async def test_hostile_text_is_shown_and_never_run():
    world = World()
    hostile = incident(title=EVIL, services=(EVIL,))
    suspect = hostile.suspects[0].model_copy(update={"evidence": evidence(EVIL, metric=EVIL, instance=EVIL, unit=EVIL)})
    world.put(topics.INCIDENTS, "inc-1", hostile.model_copy(update={"suspects": (suspect,)}))
    found = proposal()
    guilty = found.hypotheses[0].model_copy(update={"service": EVIL, "reasons": (EVIL,)})
    flag = ActionSpec(action=ActionName.TOGGLE_FEATURE_FLAG, service=EVIL, params={"flag": EVIL, "enabled": False})
    chosen = found.chosen.model_copy(update={"spec": flag, "undo": flag, "expected_effect": EVIL})
    world.propose(title=EVIL, hypotheses=(guilty, guilty), candidates=(chosen, *found.candidates), chosen=chosen)
    said = Explanation(id="exp-1", proposal="prp-1", provider=EVIL, model=EVIL, status="ok", text=EVIL, missing_evidence=(EVIL,), at=NOW)
    world.put(topics.APPROVALS, "prp-1", said)
    async with world.client() as client:
        await sign_in(client)
        pages = [await client.get(path) for path in ("/", "/incidents/inc-1", "/proposals/prp-1")]
    for page in pages:
        assert page.status_code == 200
        assert "<script" not in page.text
        assert "<img" not in page.text
        assert "&lt;script&gt;alert(1)" in page.text
        assert "{{7*7}}" in page.text, "text is not a template"
        assert "default-src 'none'" in page.headers["content-security-policy"]
        assert page.headers["x-frame-options"] == "DENY"
    assert "has chosen nothing and changed nothing" in pages[2].text


async def test_the_style_sheet_is_served(world):
    async with world.client() as client:
        answer = await client.get("/static/airra.css")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/css")


@pytest.mark.parametrize(
    ("value", "unit", "said"),
    [
        (0.0421, "seconds", "42.1 ms"),
        (2.5, "seconds", "2.5 seconds"),
        (98e6, "bytes", "98 Mbytes"),
        (float("nan"), "", "–"),
        (None, "x", "–"),
    ],
)
def test_a_number_is_short_and_has_its_unit(value, unit, said):
    assert present.number(value, unit) == said


def test_a_picture_needs_two_points_and_stays_inside_its_frame():
    assert present.spark(evidence(points=())) is None
    drawn = present.spark(evidence(points=((NOW, 1.0), (NOW, float("nan")), (NOW, 5e9), (NOW + 1, -5e9))))
    numbers = [float(number) for number in re.split("[ ,]", drawn.line)]
    assert all(0 <= x <= present.WIDTH for x in numbers[::2])
    assert all(0 <= y <= present.HEIGHT for y in numbers[1::2])
    assert present.spark(evidence(points=((NOW, 7.0), (NOW + 1, 7.0)), low=7.0, high=7.0)) is not None


def test_every_action_reads_as_a_sentence():
    said = [present.action(ActionSpec(action=name, service="cart")) for name in ActionName]
    assert len(set(said)) == len(list(ActionName))
    assert present.action(ActionSpec(action=ActionName.SCALE_UP, service="cart", params={"workers": 8})) == "scale cart up to 8 workers"
