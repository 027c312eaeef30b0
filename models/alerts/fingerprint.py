"""Which alerts are the same alert."""

from __future__ import annotations

import hashlib

from schemas.base import unambiguous

# What differs between repeats, and between instances of one service, without making it another alert (heritage.md).
VOLATILE = frozenset({"instance", "pod", "timestamp", "alertstate"})


def fingerprint(service: str, name: str, labels: dict[str, str]) -> str:
    """Hash service, name and the labels without the volatile ones to 16 hexadecimal digits; the order of labels has no part in it."""
    kept = (text for label in sorted(labels) if label not in VOLATILE for text in (label, labels[label]))
    return hashlib.blake2b(unambiguous(service, name, *kept), digest_size=8).hexdigest()
