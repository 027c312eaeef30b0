"""reason: which service is guilty of what, and which runbook action is proposed."""

from agents.reason.stage import stage

__all__ = ["stage"]
