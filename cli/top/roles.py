"""Where the roles are that `airra top` looks at, and what each of them answers."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from urllib.parse import urlsplit

import httpx2

from cli import runfile
from cli.config import ConfigError
from cli.top.readings import Reading, parse
from schemas.settings import Settings

ANSWER_WITHIN_S = 2.0  # a role that is busy answers late; one that hangs must not hold up the others
EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - what listens on all addresses is asked at this machine's own


@dataclass(frozen=True, slots=True)
class Role:
    """A role, and where its metrics are; without an address, why there is none."""

    name: str
    url: str
    trouble: str = ""


def given(urls: Sequence[str]) -> list[Role]:
    """Return the roles behind these addresses; raise ConfigError for what is none."""
    return [_given(url) for url in dict.fromkeys(urls)]


def _given(url: str) -> Role:
    try:
        parts = urlsplit(url)
        sound = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 0) >= 0
    except ValueError:  # a port that is no number
        sound = False
    if not sound:
        raise ConfigError(f"--metrics {url}: not an address; give one as http://127.0.0.1:9100/metrics")
    return Role(parts.netloc.rpartition("@")[2], url if parts.path.strip("/") else f"{url.rstrip('/')}/metrics")


def running(settings: Settings) -> list[Role]:
    """Return the roles that wrote down their addresses on this machine, by name; what ended without taking leave is named too."""
    found = runfile.all_of(settings.data_dir)
    host = EVERYWHERE.get(settings.observe_host, settings.observe_host)
    host = f"[{host}]" if ":" in host else host
    roles = []
    for name, content in sorted(found.items()):
        trouble = "" if runfile.alive(content) else f"process {content['pid']} has ended"
        roles.append(Role(name, f"http://{host}:{content['observe_port']}/metrics", trouble))
    return roles


def ask(roles: Sequence[Role]) -> dict[str, Reading | str]:
    """Return each role's reading, or why there is none; all are asked at once."""
    if not roles:
        return {}
    with ThreadPoolExecutor(len(roles)) as pool:
        return dict(zip((role.name for role in roles), pool.map(_ask, roles), strict=True))


def _ask(role: Role) -> Reading | str:
    if role.trouble:
        return role.trouble
    try:
        answer = httpx2.get(role.url, timeout=ANSWER_WITHIN_S, trust_env=False)
        answer.raise_for_status()
        return parse(answer.text, time.monotonic())
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        return f"{role.url} does not answer: {error or type(error).__name__}"
    except ValueError as error:
        return f"{role.url} is not Prometheus' text format: {error}"
