"""What the modules for frameworks share: arrays in, loss and gradient out."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple, Union

import numpy as np

from ._loss import Loss as ArrayLoss
from ._loss import catalog_entry

LossLike = Union[str, ArrayLoss]


def array_loss(loss: LossLike, options: Mapping[str, Any]) -> ArrayLoss:
    """A loss by its name with options, or as it is."""
    if isinstance(loss, ArrayLoss):
        if options:
            raise TypeError(f"{loss!r} is a loss already: give {', '.join(options)} to it")
        return loss
    return ArrayLoss(loss, **options)


def differentiable(loss: ArrayLoss, names: Sequence[str]) -> List[str]:
    """Which of these inputs have gradients: those of the catalog say so, and all of a formula may."""
    entry = catalog_entry(loss.name) if loss.name is not None else None
    if entry is None:
        return list(names)
    kinds = {one["name"]: one for one in entry["inputs"]}
    return [n for n in names if kinds[n]["differentiable"] or kinds[n]["kind"] == "class_or_probability"]


def bound(loss: ArrayLoss, args: Sequence[Any], tensors: Mapping[str, Any]) -> Dict[str, Any]:
    """Arguments by name."""
    given = dict(zip(loss.inputs, args)) if args else {}
    if len(args) > len(given):
        raise TypeError(f"{loss!r} has {len(loss.inputs)} inputs, got {len(args)}")
    every = {**given, **tensors}
    return {name: value for name, value in every.items() if value is not None}


def evaluate(
    loss: ArrayLoss,
    arrays: Mapping[str, np.ndarray],
    wrt: Sequence[str],
    reduction: Optional[str],
    **more: Any,
) -> Tuple[Any, Dict[str, np.ndarray]]:
    """The loss and the gradients of these inputs."""
    result = loss.evaluate(**arrays, wrt=tuple(wrt), reduction=reduction, **more)
    return result.loss, result.gradients
