"""What XGBoost and LightGBM share: gradient and diagonal Hessian per row, and the best constant to start from."""

from __future__ import annotations

from typing import Any, Optional, Tuple

import numpy as np

from . import _bridge
from ._loss import Loss as ArrayLoss


class Objective:
    """The derivatives of a loss for boosted trees.

    :param hessian_floor: smaller second derivatives are raised to it, so that leaves stay finite
    """

    def __init__(self, loss: _bridge.LossLike, hessian_floor: Optional[float], options: Any):
        self.loss: ArrayLoss = _bridge.array_loss(loss, options)
        self._floor = hessian_floor

    def derivatives(
        self, predictions: np.ndarray, targets: np.ndarray, weights: Optional[np.ndarray]
    ) -> Tuple[np.ndarray, np.ndarray]:
        """Of the sum, as boosting libraries expect it."""
        first, second = self.loss.inputs[:2]
        given = {} if weights is None or len(weights) == 0 else {"sample_weight": np.asarray(weights, predictions.dtype)}
        result = self.loss.evaluate(
            **{first: predictions, second: self._labels(targets, predictions), **given},
            wrt=first,
            hessian=True,
            hessian_floor=self._floor,
            reduction="sum",
        )
        return result.gradients[first], result.hessian[first]

    def _labels(self, targets: np.ndarray, predictions: np.ndarray) -> np.ndarray:
        return targets.astype(np.int32) if predictions.ndim > targets.ndim else targets.astype(predictions.dtype)

    def init_score(self, targets: np.ndarray, classes: Optional[int] = None, weights: Optional[np.ndarray] = None) -> Any:
        """The constant with the smallest loss: one number, or one per class. Newton's method on the sum, in float64."""
        targets = np.asarray(targets)
        width = 1 if classes is None else classes
        score = np.zeros(width)
        for _ in range(100):
            shape = (len(targets),) if classes is None else (len(targets), width)
            predictions = np.broadcast_to(score if classes is not None else score[0], shape).astype(np.float64)
            gradient, hessian = self.derivatives(predictions, targets, weights)
            slope = gradient.reshape(len(targets), width).sum(0)
            curvature = hessian.reshape(len(targets), width).sum(0)
            step = slope / np.maximum(curvature, 1e-12)
            score = score - np.clip(step, -2.0, 2.0)
            if classes is not None:
                score = score - score.mean()
            if np.abs(step).max() < 1e-12:
                break
        return float(score[0]) if classes is None else score
