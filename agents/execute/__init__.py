"""execute, the one part that touches the world, and report, which tells the other logs what it did."""

from agents.execute.effector import Execute, Standing
from agents.execute.report import report
from agents.execute.sides import Sides, Views, live_views

__all__ = ["Execute", "Sides", "Standing", "Views", "live_views", "report"]
