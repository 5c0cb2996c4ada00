"""Losses as scorers of scikit-learn.

>>> cross_val_score(model, x, y, scoring=lossd.sklearn.scorer("huber", delta=2.0))
"""

from __future__ import annotations

from typing import Any, Callable, Optional

import numpy as np

from . import _bridge

__all__ = ["scorer"]


def scorer(loss: _bridge.LossLike, *, response: str = "predict", **options: Any) -> Callable[..., float]:
    """A scorer: larger is better, so it is the negative loss.

    :param response: what the loss gets of a model: ``predict``, ``predict_proba``, ``predict_log_proba`` or ``decision_function``
    """
    own = _bridge.array_loss(loss, options)

    def score(estimator: Any, x: Any, y: Any, sample_weight: Optional[Any] = None) -> float:
        predictions = np.asarray(getattr(estimator, response)(x), np.float64)
        targets = np.asarray(y)
        if predictions.ndim > targets.ndim:
            targets = np.searchsorted(estimator.classes_, targets).astype(np.int32)
        else:
            targets = targets.astype(np.float64)
        first, second = own.inputs[:2]
        weights = {} if sample_weight is None else {"sample_weight": np.asarray(sample_weight, np.float64)}
        return -float(own.value(**{first: predictions, second: targets, **weights}))

    return score
