"""Losses as objectives of LightGBM.

>>> booster = lightgbm.train({"objective": lossd.lightgbm.objective("huber", delta=2.0)}, data)
"""

from __future__ import annotations

from typing import Any, Callable, Optional, Tuple

import numpy as np

from . import _bridge
from ._boosting import Objective

__all__ = ["objective", "init_score"]


def objective(
    loss: _bridge.LossLike, *, hessian_floor: Optional[float] = None, **options: Any
) -> Callable[[np.ndarray, Any], Tuple[np.ndarray, np.ndarray]]:
    """For ``lightgbm.train({"objective": ...})``. With several classes, predictions have one column per class.

    LightGBM starts a custom objective at 0; :func:`init_score` is the constant that a built-in one would start from.

    :param hessian_floor: smaller second derivatives are raised to it
    """
    own = Objective(loss, hessian_floor, options)

    def function(predictions: np.ndarray, data: Any) -> Tuple[np.ndarray, np.ndarray]:
        scores = np.asarray(predictions)
        return own.derivatives(scores, np.asarray(data.get_label()), data.get_weight())

    return function


def init_score(loss: _bridge.LossLike, targets: np.ndarray, *, classes: Optional[int] = None, **options: Any) -> Any:
    """The best constant, for ``Dataset(init_score=...)`` (per row: ``np.full(len(targets), ...)``)."""
    return Objective(loss, None, options).init_score(targets, classes)
