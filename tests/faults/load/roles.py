"""What the roles of a running stack say of themselves: memory, counters, and how far the groups are behind."""

from __future__ import annotations

from pathlib import Path

import httpx2
from prometheus_client.parser import text_string_to_metric_families

from cli.demo.stack import Stack
from tests.faults.ledger import committed, length

NORMALISE_GROUP, DETECT_GROUP = "airra-normalise", "airra-detect"


def counters(stack: Stack, role: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Return a role's samples by name and labels."""
    text = httpx2.get(f"http://127.0.0.1:{stack.address(role, 'observe_port')}/metrics", timeout=10.0).text
    found = (sample for family in text_string_to_metric_families(text) for sample in family.samples)
    return {(sample.name, tuple(sorted(sample.labels.items()))): sample.value for sample in found}


def total(stack: Stack, role: str, name: str, **labels: str) -> float:
    """Return the sum over all samples of a name that carry these labels."""
    wanted = set(labels.items())
    return sum(value for (found, has), value in counters(stack, role).items() if found == name and wanted <= set(has))


def resident_mb(stack: Stack, role: str) -> float:
    """Return a role's resident memory in MB, by the kernel."""
    assert stack.supervisor is not None
    pid = stack.supervisor.pid(role)
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:")) / 1024


def behind(bootstrap: str, group: str, topic: str) -> int:
    """Return how many records of a topic a group has not committed."""
    return length(bootstrap, topic) - committed(bootstrap, group, topic)
