"""What can go wrong, as exceptions with the code, the pointer and the detail of a problem document (RFC 9457)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Mapping, Optional, Sequence

__all__ = [
    "LossdError",
    "ProblemError",
    "InvalidRequest",
    "UnknownLoss",
    "AccessDenied",
    "KernelUnavailable",
    "TooManyRequests",
    "ServiceFailed",
    "DeadlineExceeded",
    "ServiceUnreachable",
    "KernelRejected",
    "AbiMismatch",
    "MissingRuntime",
    "Place",
]


class LossdError(Exception):
    """The base of all exceptions of this package."""


@dataclass(frozen=True)
class Place:
    """One place in a request that is wrong."""

    pointer: str
    detail: str
    line: Optional[int] = None
    column: Optional[int] = None


class ProblemError(LossdError):
    """A problem that the service reports, or that a local kernel finds in the same words.

    :ivar code: stable, such as ``label-out-of-range``
    :ivar pointer: JSON pointer to the first wrong place, such as ``/targets/3``; empty if there is none
    :ivar detail: one sentence
    :ivar retryable: whether the same request may succeed later
    """

    def __init__(
        self,
        code: str,
        detail: str,
        *,
        places: Sequence[Place] = (),
        status: int = 422,
        title: str = "",
        retryable: bool = False,
        retry_after: Optional[float] = None,
        request_id: Optional[str] = None,
    ):
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail
        self.places = tuple(places)
        self.pointer = places[0].pointer if places else ""
        self.status = status
        self.title = title
        self.retryable = retryable
        self.retry_after = retry_after
        self.request_id = request_id


class InvalidRequest(ProblemError, ValueError):
    """An input, a parameter or an option is wrong. The same request fails again."""


class UnknownLoss(ProblemError, LookupError):
    """No loss has this name."""


class AccessDenied(ProblemError):
    """The request has no valid key, or its caller lacks a role."""


class KernelUnavailable(ProblemError):
    """No portable kernel computes this loss. The service does."""


class TooManyRequests(ProblemError):
    """A quota is used up, or the queue of the service is full."""


class ServiceFailed(ProblemError):
    """The service could not compute it at the moment, or has a bug."""


class DeadlineExceeded(ProblemError, TimeoutError):
    """The deadline passed before there was an answer."""


class ServiceUnreachable(LossdError, ConnectionError):
    """There is no connection to the service."""


class KernelRejected(LossdError):
    """The bytes of a kernel are not those that their hash stands for."""


class AbiMismatch(LossdError):
    """A kernel has another version of the binary interface than this package understands."""


class MissingRuntime(LossdError, ImportError):
    """There is no WebAssembly runtime for local kernels: ``pip install 'lossd[local]'``."""


_BY_STATUS = {401: AccessDenied, 403: AccessDenied, 404: UnknownLoss, 410: UnknownLoss, 429: TooManyRequests}


def problem_from(document: Mapping[str, Any], status: int, retry_after: Optional[float] = None) -> ProblemError:
    """The exception for a problem document."""
    code = str(document.get("type", "")).rsplit(":", 1)[-1].rsplit("#", 1)[-1] or "internal"
    places = [
        Place(str(e.get("pointer", "")), str(e.get("detail", "")), e.get("line"), e.get("column"))
        for e in document.get("errors", ())
    ]
    return problem(
        code,
        str(document.get("detail", document.get("title", ""))),
        places=places,
        status=status,
        title=str(document.get("title", "")),
        retryable=bool(document.get("retryable", status in (429, 503))),
        retry_after=retry_after,
        request_id=document.get("requestId"),
    )


def problem(code: str, detail: str, *, status: int = 422, **members: Any) -> ProblemError:
    """The exception of the class that its status calls for."""
    if code == "kernel-unavailable":
        kind: type = KernelUnavailable
    elif code == "deadline-exceeded":
        kind = DeadlineExceeded
    elif status in _BY_STATUS:
        kind = _BY_STATUS[status]
    else:
        kind = InvalidRequest if status < 500 else ServiceFailed
    return kind(code, detail, status=status, **members)


def problem_at(code: str, pointer: str, detail: str) -> ProblemError:
    """A problem with one place."""
    return problem(code, f"{pointer}: {detail}", places=[Place(pointer, detail)])
