"""What the keys of one point may weigh.

Each sample's key repeats what its point has in common: measurement and tags, or host and plugin. A point with long tags and many fields
would make keys as long as the square of its record, so their sum has a limit that honest points are far from.
"""

from __future__ import annotations

from streams.normalise.fates import Reason, Rejected

KEYS_BYTES = 1024 * 1024  # a node of Elasticsearch, one of the widest points known, has some 1,000 fields of 400 bytes


def check_keys(common: int, fields: int) -> None:
    """Raise Rejected where so many keys with so many bytes in common weigh too much."""
    if common * fields > KEYS_BYTES:
        raise Rejected(Reason.TOO_LARGE, f"{fields} fields with {common} bytes in common, together at most {KEYS_BYTES}")
