"""The API's health, readiness, metrics and documentation, which need no token."""

from tests.unit.api_calls import get, waiting_world  # noqa: F401 - the fixture world


async def test_health_metrics_and_docs_need_no_token(world):
    live, ready = await get(world, "/health", None), await get(world, "/health/ready", None)
    assert (live.json()["live"], ready.status_code) == (True, 200)
    world.ready = False
    late = await get(world, "/health/ready", None)
    assert (late.status_code, late.json()["components"]) == (503, {"airra.approvals.v1": "is being read"})
    assert (await get(world, "/health", None)).status_code == 200, "not ready is not dead"
    assert (await get(world, "/health/live", None)).json() == {"live": True}
    docs = await get(world, "/docs", None)
    assert docs.status_code == 200
    assert "/api/v1/approvals/{identifier}/approve" in docs.text
    assert "/api/v1/incidents" in (await get(world, "/openapi.json", None)).json()["paths"]


async def test_requests_are_counted_by_route_and_code(world):
    await get(world, "/api/v1/incidents/inc-77")
    await get(world, "/no/such/place/inc-77")
    text = (await get(world, "/metrics", None)).text
    assert 'airra_api_requests_total{code="404",route="/api/v1/incidents/{incident}"}' in text
    assert 'airra_api_requests_total{code="404",route="other"}' in text
    assert "inc-77" not in text, "labels are bounded"
