"""Where a service's series go: Kafka's own default partitioner, so that any Java or librdkafka (murmur2) producer agrees."""

from __future__ import annotations

_MASK = 0xFFFFFFFF
_MIX = 0x5BD1E995
_SEED = 0x9747B28C


def murmur2(data: bytes) -> int:
    """Hash to 32 bits as org.apache.kafka.common.utils.Utils.murmur2 does, as an unsigned number."""
    whole = len(data) & ~3
    value = (_SEED ^ len(data)) & _MASK
    for at in range(0, whole, 4):
        word = int.from_bytes(data[at : at + 4], "little") * _MIX & _MASK
        word = (word ^ (word >> 24)) * _MIX & _MASK
        value = (value * _MIX & _MASK) ^ word
    if rest := data[whole:]:
        value = (value ^ int.from_bytes(rest, "little")) * _MIX & _MASK
    value = (value ^ (value >> 13)) * _MIX & _MASK
    return value ^ (value >> 15)


def partition_of(key: str, partitions: int) -> int:
    return (murmur2(key.encode()) & 0x7FFFFFFF) % partitions
