"""A small typed client of the API, as the command line uses it."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self, TypeVar

import httpx2
from pydantic import BaseModel, ValidationError

from schemas.http import (
    ActionView,
    ArmingReply,
    DecisionReply,
    FeedbackBody,
    FeedbackReply,
    IncidentDetail,
    IncidentPage,
    IncidentStatus,
    PendingPage,
    Problem,
    ProposalView,
)
from schemas.kinds import Mode

TIMEOUT_S = 15.0  # longer than the API itself waits for the log

Reply = TypeVar("Reply", bound=BaseModel)


class ApiError(Exception):
    """The API refused or could not be reached; `status` is 0 for the latter."""

    def __init__(self, status: int, problem: Problem) -> None:
        super().__init__(f"{problem.detail}; {problem.what_to_do}")
        self.status = status
        self.problem = problem


class ApiClient:
    """Use as a context; every call raises ApiError."""

    def __init__(self, url: str, token: str = "", transport: httpx2.BaseTransport | None = None) -> None:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._url = url
        self._http = httpx2.Client(base_url=url, headers=headers, timeout=TIMEOUT_S, transport=transport)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._http.close()

    def incidents(self, status: IncidentStatus | None = None, limit: int = 50, after: str | None = None) -> IncidentPage:
        asked = {"status": status.value if status else None, "limit": limit, "after": after}
        params = {name: value for name, value in asked.items() if value is not None}
        return self._call(IncidentPage, "GET", "/api/v1/incidents", params=params)

    def incident(self, incident: str) -> IncidentDetail:
        return self._call(IncidentDetail, "GET", f"/api/v1/incidents/{incident}")

    def pending(self) -> PendingPage:
        return self._call(PendingPage, "GET", "/api/v1/approvals/pending")

    def proposal(self, proposal: str) -> ProposalView:
        return self._call(ProposalView, "GET", f"/api/v1/approvals/{proposal}")

    def approve(
        self, identifier: str, approved_by: str, mode: Mode, digest: str | None = None, reason: str = "", key: str = ""
    ) -> DecisionReply:
        """Approve one mode; `key` makes a repeated call the same command."""
        body = {"approved_by": approved_by, "execution_mode": mode.value, "digest": digest, "reason": reason}
        return self._call(DecisionReply, "POST", f"/api/v1/approvals/{identifier}/approve", json=body, headers=_key(key))

    def reject(self, identifier: str, reason: str, key: str = "") -> DecisionReply:
        return self._call(DecisionReply, "POST", f"/api/v1/approvals/{identifier}/reject", json={"reason": reason}, headers=_key(key))

    def execute(self, action: str) -> ActionView:
        return self._call(ActionView, "POST", f"/api/v1/actions/{action}/execute")

    def feedback(self, incident: str, said: FeedbackBody) -> FeedbackReply:
        return self._call(FeedbackReply, "POST", f"/api/v1/incidents/{incident}/feedback", json=said.model_dump(mode="json"))

    def arming(self) -> ArmingReply:
        return self._call(ArmingReply, "GET", "/api/v1/arming")

    def _call(self, kind: type[Reply], method: str, path: str, **more: Any) -> Reply:
        try:
            answer = self._http.request(method, path, **more)
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            what = Problem(
                error="unreachable",
                detail=f"no API at {self._url} ({type(error).__name__})",
                what_to_do="check that `airra api` runs and its address",
            )
            raise ApiError(0, what) from error
        try:
            if answer.is_success:
                return kind.model_validate_json(answer.content)
            raise ApiError(answer.status_code, Problem.model_validate_json(answer.content))
        except ValidationError as error:
            what = Problem(
                error="not_the_api", detail=f"{self._url} answers {answer.status_code}, not as AIRRA does", what_to_do="check the address"
            )
            raise ApiError(answer.status_code, what) from error


def _key(key: str) -> dict[str, str]:
    return {"Idempotency-Key": key} if key else {}
