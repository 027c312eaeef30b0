"""The sink: the control logs as rows of ClickHouse, each exactly once to whoever reads them."""

from __future__ import annotations

from streams.sink.consumer import Sink

__all__ = ["Sink"]
