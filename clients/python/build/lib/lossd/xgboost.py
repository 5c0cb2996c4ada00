"""Losses as objectives of XGBoost.

>>> booster = xgboost.train(params, data, obj=lossd.xgboost.objective("huber", delta=2.0))
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
    """For ``xgboost.train(..., obj=...)``. With several classes, predictions have one column per class.

    :param hessian_floor: smaller second derivatives are raised to it
    """
    own = Objective(loss, hessian_floor, options)

    def function(predictions: np.ndarray, data: Any) -> Tuple[np.ndarray, np.ndarray]:
        return own.derivatives(np.asarray(predictions), data.get_label(), data.get_weight())

    return function


def init_score(loss: _bridge.LossLike, targets: np.ndarray, *, classes: Optional[int] = None, **options: Any) -> Any:
    """The best constant, for ``base_margin`` (per row: ``np.full(len(targets), ...)``)."""
    return Objective(loss, None, options).init_score(targets, classes)
