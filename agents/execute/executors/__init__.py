"""The executors: how a target is described, acted on and looked up."""

from agents.execute.executors.base import Answer, Description, Executor, Status, Unreachable
from agents.execute.executors.dry_run import DryRunExecutor
from agents.execute.executors.http_control import HttpControlExecutor

__all__ = ["Answer", "Description", "DryRunExecutor", "Executor", "HttpControlExecutor", "Status", "Unreachable"]
