"""What may be done now: one live action a target at a time, within the hour's budget, each at most once."""

from models.admission.state import Admission, restore, snapshot
from models.admission.take import take

__all__ = ["Admission", "restore", "snapshot", "take"]
