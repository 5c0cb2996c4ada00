"""Losses as PyTorch modules, with autograd.

>>> criterion = lossd.torch.Loss("huber", delta=2.0)
>>> criterion(model(x), y).backward()
"""

from __future__ import annotations

from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Tuple

import numpy as np
import torch

from . import _bridge
from ._loss import Loss as ArrayLoss

__all__ = ["Loss", "custom_loss_fn"]

#: What NumPy has no dtype for is computed in float32, whose numbers contain all of its own.
_WIDENED = {torch.bfloat16: torch.float32, torch.float16: torch.float32}


class Loss(torch.nn.Module):
    """A loss of the catalog, a registered one, a traced one or a formula, as a module.

    Tensors on a GPU are copied to the host and their gradients back; float16 and bfloat16 (AMP) are computed in float32,
    and their gradients have their dtype. ``torch.compile`` leaves the graph at the call and comes back after it.

    :param loss: a name, or a :class:`lossd.Loss`
    :param options: those of :class:`lossd.Loss`: ``reduction``, ``mode``, parameters
    """

    def __init__(self, loss: _bridge.LossLike, **options: Any):
        super().__init__()
        self.loss: ArrayLoss = _bridge.array_loss(loss, options)

    def extra_repr(self) -> str:
        return repr(self.loss)

    def forward(self, *args: torch.Tensor, sample_weight: Optional[torch.Tensor] = None, **tensors: torch.Tensor) -> torch.Tensor:
        """The loss of tensors in the order of the inputs, or by name."""
        named = _bridge.bound(self.loss, args, tensors)
        return _call(self.loss, named, sample_weight)


def _eager(function: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
    """A graph cannot contain what other processes or runtimes compute."""
    try:
        disabled: Callable[..., torch.Tensor] = torch.compiler.disable(function)
    except AttributeError:
        return function
    return disabled


def _call_eagerly(
    loss: ArrayLoss, named: Mapping[str, torch.Tensor], sample_weight: Optional[torch.Tensor]
) -> torch.Tensor:
    names = list(named)
    possible = set(_bridge.differentiable(loss, names))
    is_wanted = torch.is_grad_enabled()
    wrt = [n for n in names if is_wanted and n in possible and named[n].requires_grad and named[n].is_floating_point()]
    result: torch.Tensor = _Function.apply(loss, names, wrt, sample_weight, *named.values())
    return result


_call = _eager(_call_eagerly)


def _array(tensor: torch.Tensor) -> np.ndarray:
    own = tensor.detach()
    widened = _WIDENED.get(own.dtype)
    if widened is not None:
        own = own.to(widened)
    if own.device.type != "cpu":
        own = own.cpu()
    array: np.ndarray = own.numpy()
    return array


class _Function(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, loss: ArrayLoss, names: List[str], wrt: List[str], weight: Optional[torch.Tensor], *tensors: torch.Tensor) -> torch.Tensor:
        arrays = {name: _array(tensor) for name, tensor in zip(names, tensors)}
        if weight is not None:
            arrays["sample_weight"] = _array(weight)
        ctx.loss, ctx.names, ctx.wrt, ctx.arrays, ctx.tensors = loss, names, wrt, arrays, None
        reduction = loss.reduction or "mean"
        is_each = reduction == "none"
        # The gradient of each value waits for the upstream gradient; that of a reduced loss is only scaled by it.
        value, gradients = _bridge.evaluate(loss, arrays, () if is_each else wrt, None)
        like = {name: tensor for name, tensor in zip(names, tensors)}
        ctx.like = {name: (like[name].dtype, like[name].device) for name in wrt}
        ctx.is_each = is_each
        ctx.gradients = {name: torch.from_numpy(np.ascontiguousarray(g)) for name, g in gradients.items()}
        first = tensors[0]
        is_double = any(array.dtype == np.float64 for array in arrays.values())
        dtype = torch.float64 if is_double else torch.float32
        return torch.as_tensor(np.array(value), dtype=dtype, device=first.device)

    @staticmethod
    def backward(ctx: Any, upstream: torch.Tensor) -> Tuple[Optional[torch.Tensor], ...]:
        if ctx.is_each:
            chained = {**ctx.arrays, "grad_output": _array(upstream.contiguous())}
            _, arrays = _bridge.evaluate(ctx.loss, chained, ctx.wrt, "none")
            found = {name: _placed(torch.from_numpy(np.ascontiguousarray(g)), *ctx.like[name]) for name, g in arrays.items()}
        else:
            found = {name: _scaled(g, upstream, *ctx.like[name]) for name, g in ctx.gradients.items()}
        return (None, None, None, None, *(found.get(name) for name in ctx.names))


def _placed(gradient: torch.Tensor, dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    return gradient.to(device=device, dtype=dtype)


def _scaled(gradient: torch.Tensor, upstream: torch.Tensor, dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    """Before it is rounded to a narrower dtype, so that the scale of AMP keeps small gradients."""
    return (gradient.to(device) * upstream).to(dtype)


def custom_loss_fn(
    loss: Loss,
    *,
    inputs: Callable[[Any, torch.Tensor], Mapping[str, torch.Tensor]],
) -> Callable[[Sequence[Any], Sequence[torch.Tensor]], Tuple[torch.Tensor, Dict[str, float]]]:
    """A loss as remote training services take it: ``loss_fn(data, logprobs) -> (loss, metrics)``.

    :param inputs: from one datum and its log-probabilities, the inputs of the loss by name. They are joined along the first axis

    >>> fn = lossd.torch.custom_loss_fn(dpo, inputs=lambda datum, logprobs: {...})
    >>> training_client.forward_backward_custom(data, fn)
    """

    def loss_fn(data: Sequence[Any], logprobs: Sequence[torch.Tensor]) -> Tuple[torch.Tensor, Dict[str, float]]:
        parts = [inputs(datum, own) for datum, own in zip(data, logprobs)]
        joined = {name: torch.cat([torch.atleast_1d(part[name]) for part in parts]) for name in parts[0]}
        value = loss(**joined)
        return value, {"loss": float(value.detach())}

    return loss_fn
