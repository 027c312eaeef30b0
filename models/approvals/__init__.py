"""The fold of the approvals log that approve, admit, execute and the API share."""

from models.approvals.book import fold
from models.approvals.case import ApprovalBook, Case, CommandFate, CommandVerdict, InForce, restore, snapshot
from models.approvals.read import armed, case_of, decision_of, pending, verdict_on
from models.approvals.rules import in_force, ruling

__all__ = [
    "ApprovalBook",
    "Case",
    "CommandFate",
    "CommandVerdict",
    "InForce",
    "armed",
    "case_of",
    "decision_of",
    "fold",
    "in_force",
    "pending",
    "restore",
    "ruling",
    "snapshot",
    "verdict_on",
]
