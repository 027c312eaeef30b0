"""A public detector beside ours: Half-Space Trees (Tan, Ting & Liu 2011), river's, with its defaults and the scaling that it asks for."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from river import anomaly, preprocessing

from cli.backtest.series import Series

NAME = "river HalfSpaceTrees"
SEED = 1


def scores(series: Series) -> NDArray[np.float64]:
    """Return its score of each row, in [0, 1], of what came before; 0 where a row holds no finite value or is out of order."""
    found = np.zeros(len(series.at))
    model = preprocessing.MinMaxScaler() | anomaly.HalfSpaceTrees(seed=SEED)
    for row in np.flatnonzero(series.kept).tolist():
        point = {"value": float(series.value[row])}
        found[row] = model.score_one(point)
        model.learn_one(point)
    return found
