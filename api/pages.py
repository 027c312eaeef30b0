"""Plain pages that work without JavaScript: what waits, one incident, one proposal with its buttons, signing in."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Form, Query, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from api import present
from api.ask import incident_detail, incident_page, pending_proposals, proposal_view
from api.auth import COOKIE, FETCH_SITES, SESSION_MS, Gate, Session, no_operators, unauthorised
from api.calls import Deps, Name
from api.decide import Word, decide, find
from api.deps import Dependencies
from api.errors import Refusal
from models.approvals import armed
from schemas.approvals import CommandVerb
from schemas.http import DIGEST, TEXT, Problem
from schemas.kinds import Mode

router = APIRouter(include_in_schema=False)

_templates = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,  # everything that is shown may come from outside
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_templates.filters.update(utc=present.utc, span=present.span, number=present.number, percent=present.percent, action=present.action)

PAGES = ("/login", "/logout", "/incidents/", "/proposals/")


def is_page(request: Request) -> bool:
    return request.url.path == "/" or request.url.path.startswith(PAGES)


def visitor(request: Request) -> Session | None:
    """Return the session of this browser, None without a valid one."""
    gate: Gate = request.app.state.gate
    deps: Dependencies = request.app.state.deps
    return gate.session(request.cookies.get(COOKIE), deps.clock())


def page_reader(request: Request) -> Session | None:
    """Let a signed-in person read; anybody where no operator is configured."""
    session = visitor(request)
    gate: Gate = request.app.state.gate
    if session is None and gate.has_operators:
        raise unauthorised("sign in first")
    return session


Visitor = Annotated[Session | None, Depends(visitor)]
Reader = Annotated[Session | None, Depends(page_reader)]
Token = Annotated[str, Form(max_length=200)]
Csrf = Annotated[str, Form(max_length=200)]  # absent is wrong, not malformed


def page(request: Request, name: str, status: int = 200, **values: Any) -> HTMLResponse:
    """Render a template with what every page shows."""
    deps: Dependencies = request.app.state.deps
    gate: Gate = request.app.state.gate
    session = visitor(request)
    now = deps.clock()
    body = _templates.get_template(name).render(
        now=now,
        subject=session.subject if session else None,
        csrf=gate.csrf(session) if session else "",
        has_operators=gate.has_operators,
        arming=armed(deps.model.approvals, deps.cluster, now),
        **{"refresh": None, "problem": None, **values},
    )
    return HTMLResponse(body, status)


def problem_page(request: Request, status: int, problem: Problem) -> Response:
    """Render a refusal; who is not signed in is asked to."""
    if status == 401 and request.method == "GET":
        return RedirectResponse(f"/login?next={request.url.path}", 303)
    return page(request, "problem.html", status, problem=problem)


@router.get("/")
async def home(request: Request, deps: Deps, _: Reader) -> Response:
    """Show what waits for a person, and the newest incidents."""
    listed = incident_page(deps.model, None, 50, None)
    return page(request, "home.html", pending=pending_proposals(deps.model).items, incidents=listed.items, refresh=10)


@router.get("/incidents/{incident}")
async def incident(request: Request, deps: Deps, incident: Name, _: Reader) -> Response:
    detail = incident_detail(deps.model, incident)
    return page(request, "incident.html", detail=detail, readings=present.readings(detail.incident), refresh=10)


@router.get("/proposals/{identifier}")
async def proposal(request: Request, deps: Deps, identifier: Name, _: Reader) -> Response:
    """Show one proposal with everything that a decision needs."""
    return await _proposal(request, deps, identifier)


async def _proposal(
    request: Request, deps: Dependencies, identifier: str, status: int = 200, problem: Problem | None = None
) -> HTMLResponse:
    found, _ = await find(deps, identifier)
    hypothesis = present.guilty(found)
    latest = deps.model.incidents.latest(found.incident)
    return page(
        request,
        "proposal.html",
        status,
        view=proposal_view(deps.model, found),
        proposal=found,
        guilty=hypothesis,
        parts=present.parts(hypothesis) if hypothesis else [],
        incident=latest,
        readings=present.readings(latest, hypothesis.series if hypothesis else ()),
        alternatives=present.alternatives(found),
        request_id=deps.new_id(),
        problem=problem,
    )


@router.post("/proposals/{identifier}/approve")
async def approve(
    request: Request,
    deps: Deps,
    identifier: Name,
    session: Visitor,
    request_id: Token,
    mode: Annotated[Mode, Form()],
    digest_dry_run: Annotated[str, Form(pattern=DIGEST)],
    digest_live: Annotated[str, Form(pattern=DIGEST)],
    csrf: Csrf = "",
) -> Response:
    """Approve what the form showed: it carries the digests of both modes, and the button names one."""
    subject = _signed(request, session, csrf)
    digest = digest_live if mode is Mode.LIVE else digest_dry_run
    return await _act(request, deps, Word(identifier, CommandVerb.APPROVE, subject, mode, digest=digest, request=request_id))


@router.post("/proposals/{identifier}/reject")
async def reject(
    request: Request,
    deps: Deps,
    identifier: Name,
    session: Visitor,
    request_id: Token,
    reason: Annotated[str, Form(min_length=1, max_length=TEXT)],
    csrf: Csrf = "",
) -> Response:
    subject = _signed(request, session, csrf)
    return await _act(request, deps, Word(identifier, CommandVerb.REJECT, subject, reason=reason, request=request_id))


def _signed(request: Request, session: Session | None, csrf: str) -> str:
    gate: Gate = request.app.state.gate
    if not gate.has_operators:
        raise no_operators()
    return gate.check_form(request, session, csrf).subject


async def _act(request: Request, deps: Dependencies, word: Word) -> Response:
    """Decide, then show the proposal again: with the decision, or with why it was not taken."""
    try:
        await decide(deps, word)
    except Refusal as refusal:
        if refusal.status == 404:
            raise
        return await _proposal(request, deps, word.target, refusal.status, refusal.problem)
    return RedirectResponse(f"/proposals/{word.target}", 303)


@router.get("/login")
async def login_form(request: Request, next: Annotated[str, Query(max_length=200)] = "/") -> Response:  # noqa: A002 - the usual name
    return page(request, "login.html", next=_local(next))


@router.post("/login")
async def login(request: Request, deps: Deps, token: Token, next: Annotated[str, Form(max_length=200)] = "/") -> Response:  # noqa: A002
    """Exchange an operator's token for a session cookie."""
    gate: Gate = request.app.state.gate
    if not gate.has_operators:
        raise no_operators()
    subject = gate.subject(token.strip())
    if request.headers.get("sec-fetch-site", "same-origin") not in FETCH_SITES or subject is None:
        refused = Problem(error="unauthorised", detail="that is no operator's token", what_to_do="check it, and paste it again")
        return page(request, "login.html", 401, next=_local(next), problem=refused)
    answer = RedirectResponse(_local(next), 303)
    answer.set_cookie(
        COOKIE,
        gate.open_session(subject, deps.clock()),
        max_age=SESSION_MS // 1000,
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
    )
    return answer


@router.post("/logout")
async def logout(request: Request, session: Visitor, csrf: Csrf = "") -> Response:
    _signed(request, session, csrf)
    answer = RedirectResponse("/login", 303)
    answer.delete_cookie(COOKIE, httponly=True, samesite="strict")
    return answer


@router.get("/docs")
async def docs(request: Request) -> Response:
    """List the calls, from the same OpenAPI document that /openapi.json serves."""
    document = request.app.openapi()
    listed = [
        (method.upper(), path, call.get("description") or call.get("summary", ""))
        for path, calls in sorted(document["paths"].items())
        for method, call in calls.items()
    ]
    return page(request, "docs.html", calls=listed, about=document["info"]["description"])


def _local(path: str) -> str:
    """Keep a redirection on this site."""
    local = path.startswith("/") and not path.startswith("//") and "\\" not in path and path.isprintable()
    return path if local else "/"
