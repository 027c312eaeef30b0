"""Build the application: calls, pages, health, metrics, docs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.staticfiles import StaticFiles
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.exceptions import HTTPException
from starlette.middleware.trustedhost import TrustedHostMiddleware

from api import calls, pages, write
from api.auth import Gate
from api.deps import Dependencies
from api.errors import Refusal
from api.limits import Limits
from schemas.http import Problem

STATIC = Path(__file__).parent / "static"


def build(deps: Dependencies) -> FastAPI:
    """Return the application over these dependencies; nothing is started."""
    app = FastAPI(
        title="AIRRA",
        description="Incidents, proposals, decisions. Calls under /api/v1 take `Authorization: Bearer TOKEN`.",
        docs_url=None,  # the usual page loads scripts from elsewhere; ours is plain and works without a network
        redoc_url=None,
    )
    app.state.deps = deps
    app.state.gate = Gate(deps.tokens, deps.secret)
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=list(deps.allowed_hosts), www_redirect=False)
    app.add_middleware(Limits)
    app.include_router(calls.router)
    app.include_router(write.router)
    app.include_router(pages.router)
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    _observe(app, deps)
    app.add_exception_handler(Refusal, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _other)
    return app


def _observe(app: FastAPI, deps: Dependencies) -> None:
    @app.get("/health/live", include_in_schema=False)
    async def live() -> dict[str, bool]:
        return {"live": True}

    @app.get("/health")
    async def health() -> dict[str, Any]:
        """Alive, and which parts are ready."""
        ready, components = deps.readiness()
        return {"live": True, "ready": ready, "components": components}

    @app.get("/health/ready")
    async def readiness() -> JSONResponse:
        """200 when every part is ready, else 503 with the reasons."""
        ready, components = deps.readiness()
        return JSONResponse({"live": True, "ready": ready, "components": components}, 200 if ready else 503)

    @app.get("/metrics")
    async def metrics() -> Response:
        """Prometheus text."""
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)


def _answer(status: int, problem: Problem) -> JSONResponse:
    headers = {"WWW-Authenticate": "Bearer"} if status == 401 else None
    return JSONResponse(problem.model_dump(mode="json", exclude_none=True), status, headers=headers)


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refusal)  # noqa: S101 - registered for it
    if pages.is_page(request):
        return pages.problem_page(request, error.status, error.problem)
    return _answer(error.status, error.problem)


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for it
    said = "; ".join(f"{'.'.join(str(part) for part in wrong['loc'][1:]) or 'body'}: {wrong['msg']}" for wrong in error.errors()[:5])
    problem = Problem(error="invalid", detail=said, what_to_do="correct the named fields; /docs describes them")
    if pages.is_page(request):
        return pages.problem_page(request, 422, problem)
    return _answer(422, problem)


async def _other(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for it
    name = {404: "not_found", 405: "method_not_allowed"}.get(error.status_code, "refused")
    problem = Problem(error=name, detail=f"{request.method} {request.url.path}: {error.detail}", what_to_do="/docs lists the calls")
    return _answer(error.status_code, problem)
