"""Did it help: the verdict on an action from the incident's evidence before and after it."""

from models.verification.judge import Judgement, judge
from models.verification.state import Verification, restore, snapshot
from models.verification.take import take

__all__ = ["Judgement", "Verification", "judge", "restore", "snapshot", "take"]
