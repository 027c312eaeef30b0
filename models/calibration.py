"""How honest confidence has been so far, online: Brier score and log loss over (confidence, correct) pairs."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field

from river import metrics

from schemas.kinds import Mode
from schemas.outcomes import Outcome

KEPT = 10_000  # pairs that an operator's later word can still correct; older ones stay counted as they were


@dataclass
class Calibration:
    """Fold outcomes; a newer version of one (an operator confirmed the cause) takes the older's pair back and puts its own.

    Brier score: mean squared difference of confidence and 0 or 1 (G. W. Brier, 1950), in [0, 1], lower is better; a constant 0.5
    scores 0.25. Log loss: mean of -ln(confidence given to what was the case), in nats.
    """

    brier: metrics.MSE = field(default_factory=metrics.MSE)
    log_loss: metrics.LogLoss = field(default_factory=metrics.LogLoss)
    pairs: int = 0
    evicted: int = 0
    kept: OrderedDict[str, tuple[int, float, int | None]] = field(default_factory=OrderedDict)  # action → version, confidence, correct

    def take(self, outcome: Outcome) -> None:
        """Fold one outcome; a repeat or an older version changes nothing, and a dry run is no pair, as in the view calibration_pairs."""
        answer = outcome.correct if outcome.mode is Mode.LIVE else None
        known = self.kept.get(outcome.action)
        if known is not None:
            version, confidence, correct = known
            if outcome.version <= version:
                return
            if correct is not None:
                self.brier.revert(correct, confidence)
                self.log_loss.revert(bool(correct), confidence)
                self.pairs -= 1
        self.kept[outcome.action] = (outcome.version, outcome.confidence, answer)
        while len(self.kept) > KEPT:
            self.kept.popitem(last=False)
            self.evicted += 1
        if answer is not None:
            self.brier.update(answer, outcome.confidence)
            self.log_loss.update(bool(answer), outcome.confidence)
            self.pairs += 1
