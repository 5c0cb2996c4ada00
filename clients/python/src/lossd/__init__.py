"""Loss functions with exact gradients: computed by a lossd service, or by its kernels in this process.

>>> import lossd
>>> huber = lossd.Loss("huber", delta=2.0)
>>> value, gradient = huber.value_and_gradient(predictions, targets)
"""

from importlib import import_module as _import_module
from typing import Any as _Any

from . import errors
from ._client import VERSION as __version__
from ._client import Client, default_client, set_default_client
from ._loss import Loss, Result
from ._trace import FUNCTIONS as _FUNCTIONS
from ._trace import TraceError, loss, where
from .errors import (
    AbiMismatch,
    AccessDenied,
    DeadlineExceeded,
    InvalidRequest,
    KernelRejected,
    KernelUnavailable,
    LossdError,
    MissingRuntime,
    ProblemError,
    ServiceFailed,
    ServiceUnreachable,
    TooManyRequests,
    UnknownLoss,
)

globals().update(_FUNCTIONS)

#: Imported on first use, because each needs its framework.
_FRAMEWORKS = ("torch", "jax", "keras", "xgboost", "lightgbm", "sklearn", "spark", "ray")


def __getattr__(name: str) -> _Any:
    if name in _FRAMEWORKS:
        return _import_module(f".{name}", __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = [
    "AbiMismatch",
    "AccessDenied",
    "Client",
    "DeadlineExceeded",
    "InvalidRequest",
    "KernelRejected",
    "KernelUnavailable",
    "Loss",
    "LossdError",
    "MissingRuntime",
    "ProblemError",
    "Result",
    "ServiceFailed",
    "ServiceUnreachable",
    "TooManyRequests",
    "TraceError",
    "UnknownLoss",
    "__version__",
    "default_client",
    "errors",
    "loss",
    "set_default_client",
    "where",
    *_FUNCTIONS,
]
