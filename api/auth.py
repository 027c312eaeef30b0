"""Who is asking: bearer tokens for calls, a signed cookie and a CSRF token for pages. Comparisons take constant time."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass

from fastapi import Request

from api.errors import Refusal

COOKIE = "airra_session"
SESSION_MS = 12 * 3_600_000  # one shift
FETCH_SITES = ("same-origin", "none")  # what a browser says of a form of this very site, or of a typed address


@dataclass(frozen=True, slots=True)
class Session:
    subject: str
    cookie: str


class Gate:
    """Knows the operators' tokens, as digests, and signs what it hands to browsers."""

    def __init__(self, tokens: Mapping[str, str], secret: bytes) -> None:
        self._subjects = tuple((hashlib.sha256(token.encode()).digest(), subject) for token, subject in tokens.items() if token)
        self._secret = secret

    @property
    def has_operators(self) -> bool:
        return bool(self._subjects)

    def subject(self, token: str) -> str | None:
        """Return whose token this is; every known one is compared, whichever matches."""
        given = hashlib.sha256(token.encode()).digest()
        found = [subject for known, subject in self._subjects if hmac.compare_digest(known, given)]
        return found[0] if found else None

    def open_session(self, subject: str, now: int) -> str:
        """Return the value of a session cookie."""
        claim = base64.urlsafe_b64encode(f"{now + SESSION_MS}:{subject}".encode()).decode()
        return f"{claim}.{self._sign('session', claim)}"

    def session(self, cookie: str | None, now: int) -> Session | None:
        """Return the session that this cookie proves, or None: absent, forged or over."""
        claim, _, signature = (cookie or "").partition(".")
        if not claim or not hmac.compare_digest(self._sign("session", claim).encode(), signature.encode()):
            return None
        try:
            until, _, subject = base64.urlsafe_b64decode(claim).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return None
        return Session(subject, cookie or "") if until.isdigit() and now < int(until) else None

    def csrf(self, session: Session) -> str:
        return self._sign("csrf", session.cookie)

    def check_form(self, request: Request, session: Session | None, token: str) -> Session:
        """Return the session of a form that this site rendered for it; refuse any other."""
        if session is None:
            raise unauthorised("sign in first")
        site = request.headers.get("sec-fetch-site", "same-origin")
        if site not in FETCH_SITES or not hmac.compare_digest(self.csrf(session).encode(), token.encode()):
            raise Refusal(403, "csrf", "the form does not belong to this session", "open the page again and decide there")
        return session

    def _sign(self, purpose: str, text: str) -> str:
        return hmac.new(self._secret, f"{purpose}\0{text}".encode(), hashlib.sha256).hexdigest()


def unauthorised(detail: str) -> Refusal:
    return Refusal(401, "unauthorised", detail, "send 'Authorization: Bearer TOKEN' with an operator's token, or sign in under /login")


def bearer(request: Request) -> str | None:
    """Return the bearer token of a request, None without one."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" and token.strip() else None


def reader(request: Request) -> str | None:
    """Return who reads; anybody may where no operator is configured."""
    gate: Gate = request.app.state.gate
    if not gate.has_operators:
        return None
    token = bearer(request)
    subject = gate.subject(token) if token else None
    if subject is None:
        raise unauthorised("no valid token" if token else "no token")
    return subject


def operator(request: Request) -> str:
    """Return who acts; nobody may where no operator is configured."""
    subject = reader(request)
    if subject is None:
        raise no_operators()
    return subject


def no_operators() -> Refusal:
    return Refusal(
        403,
        "acting_disabled",
        "no operator is configured, so nothing can be decided here",
        "set AIRRA_API_TOKENS=subject:token and restart the API",
    )


def same_person(named: str | None, subject: str, field: str) -> None:
    """Refuse a name in a body that is not the token's subject."""
    if named is not None and not hmac.compare_digest(named.encode(), subject.encode()):
        raise Refusal(
            403, "wrong_subject", f"{field} is not the subject of this token", f"send your own name, {subject!r}, or your own token"
        )
