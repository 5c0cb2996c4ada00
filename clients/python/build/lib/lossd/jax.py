"""Losses as JAX functions, for ``grad``, ``jit`` and ``vmap``.

>>> huber = lossd.jax.loss("huber", delta=2.0)
>>> jax.jit(jax.grad(lambda w: huber(x @ w, y)))(w)
"""

from __future__ import annotations

from typing import Any, Callable, List, Mapping, Sequence, Tuple

import jax
import jax.numpy as jnp
import numpy as np

from . import _bridge
from ._loss import Loss as ArrayLoss

__all__ = ["loss"]


def loss(loss: _bridge.LossLike, **options: Any) -> Callable[..., Any]:
    """A function of arrays in the order of the inputs, with a derivative of its own (``custom_vjp``).

    It runs on the host, within ``jit`` as well. Under ``vmap`` it is called once for each element of the batch.

    :param loss: a name, or a :class:`lossd.Loss`
    :param options: those of :class:`lossd.Loss`: ``reduction``, ``mode``, parameters
    """
    own = _bridge.array_loss(loss, options)
    is_each = own.reduction == "none"

    @jax.custom_vjp
    def function(*args: Any) -> Any:
        return _value(own, args)

    def forward(*args: Any) -> Tuple[Any, Any]:
        if is_each:
            return _value(own, args), args
        value, gradients = _value_and_gradients(own, args)
        return value, (args, gradients)

    def backward(kept: Any, upstream: Any) -> Tuple[Any, ...]:
        if is_each:
            return _completed(own, kept, _pulled_back(own, kept, upstream))
        args, gradients = kept
        return _completed(own, args, [(upstream * g).astype(g.dtype) for g in gradients])

    function.defvjp(forward, backward)

    def call(*args: Any, **tensors: Any) -> Any:
        """The loss of arrays in the order of the inputs, or by name."""
        named = _bridge.bound(own, args, tensors)
        order = [name for name in own.inputs if name in named]
        if len(order) < len(named) or order != own.inputs[: len(order)]:
            raise TypeError(f"the inputs are {', '.join(own.inputs)}, of which later ones may be left out")
        return function(*(jnp.asarray(named[name]) for name in order))

    return call


def _differentiated(own: ArrayLoss, args: Sequence[Any]) -> List[str]:
    names = own.inputs[: len(args)]
    return [n for n, a in zip(names, args) if n in _bridge.differentiable(own, names) and jnp.issubdtype(a.dtype, jnp.floating)]


def _precision(args: Sequence[Any]) -> Any:
    return jnp.float64 if any(a.dtype == jnp.float64 for a in args) else jnp.float32


def _host(args: Sequence[Any]) -> List[np.ndarray]:
    """Dtypes of ml_dtypes are floats that the client knows."""
    return [np.asarray(a) for a in args]


def _named(own: ArrayLoss, args: Sequence[Any]) -> Mapping[str, np.ndarray]:
    return dict(zip(own.inputs, _host(args)))


def _values_shape(own: ArrayLoss, args: Sequence[Any]) -> Tuple[int, ...]:
    """The shape of unreduced values: a call tells, as it depends on the loss and shapes alone."""
    key = tuple((a.shape, a.dtype.name) for a in args)
    known = _SHAPES.setdefault(id(own), {})
    if key not in known:
        zeros = {n: np.zeros(a.shape, a.dtype) for n, a in zip(own.inputs, args)}
        known[key] = np.shape(own.evaluate(**zeros, wrt=(), reduction="none").loss)
    shape: Tuple[int, ...] = known[key]
    return shape


_SHAPES: dict = {}


def _value(own: ArrayLoss, args: Sequence[Any]) -> Any:
    dtype = _precision(args)
    shape = _values_shape(own, args) if own.reduction == "none" else ()

    def compute(*arrays: Any) -> np.ndarray:
        value, _ = _bridge.evaluate(own, _named(own, arrays), (), None)
        return np.asarray(value, dtype)

    return jax.pure_callback(compute, jax.ShapeDtypeStruct(shape, dtype), *args, vmap_method="sequential")


def _value_and_gradients(own: ArrayLoss, args: Sequence[Any]) -> Tuple[Any, List[Any]]:
    wrt, dtype = _differentiated(own, args), _precision(args)
    like = dict(zip(own.inputs, args))
    shapes = [jax.ShapeDtypeStruct((), dtype), *(jax.ShapeDtypeStruct(like[n].shape, like[n].dtype) for n in wrt)]

    def compute(*arrays: Any) -> Tuple[np.ndarray, ...]:
        value, gradients = _bridge.evaluate(own, _named(own, arrays), wrt, None)
        return (np.asarray(value, dtype), *(gradients[n] for n in wrt))

    value, *gradients = jax.pure_callback(compute, tuple(shapes), *args, vmap_method="sequential")
    return value, gradients


def _pulled_back(own: ArrayLoss, args: Sequence[Any], upstream: Any) -> List[Any]:
    wrt = _differentiated(own, args)
    like = dict(zip(own.inputs, args))
    shapes = tuple(jax.ShapeDtypeStruct(like[n].shape, like[n].dtype) for n in wrt)

    def compute(cotangent: Any, *arrays: Any) -> Tuple[np.ndarray, ...]:
        named = {**_named(own, arrays), "grad_output": np.asarray(cotangent)}
        _, gradients = _bridge.evaluate(own, named, wrt, "none")
        return tuple(gradients[n] for n in wrt)

    return list(jax.pure_callback(compute, shapes, upstream, *args, vmap_method="sequential"))


def _completed(own: ArrayLoss, args: Sequence[Any], gradients: Sequence[Any]) -> Tuple[Any, ...]:
    """One cotangent for each argument. Integers have a trivial one."""
    found = dict(zip(_differentiated(own, args), gradients))

    def cotangent(name: str, arg: Any) -> Any:
        if name in found:
            return found[name]
        if jnp.issubdtype(arg.dtype, jnp.floating):
            return jnp.zeros_like(arg)
        return np.zeros(arg.shape, jax.dtypes.float0)

    return tuple(cotangent(n, a) for n, a in zip(own.inputs, args))
