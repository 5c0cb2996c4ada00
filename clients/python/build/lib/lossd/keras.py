"""Losses as Keras losses, on each of its backends.

>>> model.compile(optimizer="sgd", loss=lossd.keras.Loss("huber", delta=2.0))
"""

from __future__ import annotations

from typing import Any, Callable

import keras
import numpy as np

from . import _bridge
from ._loss import Loss as ArrayLoss

__all__ = ["Loss"]


class Loss(keras.losses.Loss):
    """A loss of two inputs, predictions first. Keras reduces and weighs the values of the rows.

    :param loss: a name, or a :class:`lossd.Loss`
    :param reduction: that of Keras; by default ``sum_over_batch_size``
    :param options: those of :class:`lossd.Loss`: ``mode``, parameters
    """

    def __init__(
        self, loss: _bridge.LossLike, *, name: str = "lossd", reduction: str = "sum_over_batch_size", **options: Any
    ):
        super().__init__(name=name, reduction=reduction)
        self.loss: ArrayLoss = _bridge.array_loss(loss, options)
        self.loss.reduction = "none"
        self._function = _BACKENDS[keras.backend.backend()](self.loss)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """The unreduced values."""
        return self._function(y_pred, y_true)


def _torch(own: ArrayLoss) -> Callable[..., Any]:
    from . import torch as binding

    return binding.Loss(own)


def _jax(own: ArrayLoss) -> Callable[..., Any]:
    from . import jax as binding

    return binding.loss(own)


def _tensorflow(own: ArrayLoss) -> Callable[..., Any]:
    import tensorflow as tf

    def compute(predictions: Any, targets: Any) -> np.ndarray:
        arrays = dict(zip(own.inputs, (predictions.numpy(), targets.numpy())))
        return np.asarray(_bridge.evaluate(own, arrays, (), "none")[0])

    def pull_back(predictions: Any, targets: Any, upstream: Any) -> np.ndarray:
        arrays = dict(zip(own.inputs, (predictions.numpy(), targets.numpy())))
        _, gradients = _bridge.evaluate(own, {**arrays, "grad_output": upstream.numpy()}, own.inputs[:1], "none")
        return gradients[own.inputs[0]]

    @tf.custom_gradient
    def function(predictions: Any, targets: Any) -> Any:
        dtype = tf.float64 if predictions.dtype == tf.float64 else tf.float32
        values = tf.py_function(compute, [predictions, targets], dtype)
        values.set_shape([None] * _rank(own, predictions, targets))

        def backward(upstream: Any) -> Any:
            gradient = tf.py_function(pull_back, [predictions, targets, upstream], predictions.dtype)
            gradient.set_shape(predictions.shape)
            return gradient, None

        return values, backward

    return lambda predictions, targets: function(tf.convert_to_tensor(predictions), tf.convert_to_tensor(targets))


def _rank(own: ArrayLoss, predictions: Any, targets: Any) -> int:
    """The number of axes of unreduced values, which a graph must know before it has numbers: a call of zeros tells."""
    zeros = [np.zeros([size or 2 for size in tensor.shape], tensor.dtype.as_numpy_dtype) for tensor in (predictions, targets)]
    value, _ = _bridge.evaluate(own, dict(zip(own.inputs, zeros)), (), "none")
    return np.ndim(value)


_BACKENDS = {"torch": _torch, "jax": _jax, "tensorflow": _tensorflow}
