"""A client of one service."""

from __future__ import annotations

import json
import os
import ssl
import threading
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple, Union
from urllib.parse import quote, urlencode

import numpy as np

from ._cache import KernelCache, verified
from ._http import Response, Transport
from ._kernel import Kernel
from ._safetensors import as_tensor, decode, encode
from .errors import KernelRejected, problem, problem_from

SAFETENSORS = "application/x-safetensors"

__all__ = ["Client", "default_client", "set_default_client"]

#: The version of this package, which is that of the service it was published with.
VERSION = "0.1.0"


class Client:
    """Requests to a service, from any thread.

    :param url: by default ``$LOSSD_URL``, or ``http://localhost:8080``
    :param api_key: by default ``$LOSSD_API_KEY``
    :param timeout: seconds for each call, with all of its attempts
    :param retries: how often a request is repeated that the service refuses for the moment
    :param cache: where kernels are kept
    :param traceparent: the W3C trace context that requests belong to, or a function that returns it

    >>> client = lossd.Client("http://localhost:8080")
    >>> client.evaluate("huber", {"predictions": p, "targets": t}, params={"delta": 2.0})
    """

    def __init__(
        self,
        url: Optional[str] = None,
        *,
        api_key: Optional[str] = None,
        timeout: float = 30.0,
        retries: int = 4,
        cache: Union[None, str, Path] = None,
        traceparent: Any = None,
        tls: Optional[ssl.SSLContext] = None,
    ):
        self.url = url or os.environ.get("LOSSD_URL", "http://localhost:8080")
        key = api_key or os.environ.get("LOSSD_API_KEY")
        headers = {"user-agent": f"lossd-python/{VERSION}"}
        if key:
            headers["authorization"] = f"Bearer {key}"
        self._transport = Transport(self.url, headers=headers, timeout=timeout, retries=retries, tls=tls)
        self._traceparent = traceparent
        self.cache = KernelCache(Path(cache) if cache is not None else None)
        self._kernels: Dict[str, Kernel] = {}
        self._lock = threading.Lock()

    def close(self) -> None:
        """Closes the connections. The client can still be used, and opens others."""
        self._transport.close()

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # Requests

    def _headers(self, more: Mapping[str, str]) -> Dict[str, str]:
        trace = self._traceparent() if callable(self._traceparent) else self._traceparent
        return {**more, "traceparent": trace} if trace else dict(more)

    def request(
        self,
        method: str,
        path: str,
        parts: Sequence[Any] = (),
        headers: Mapping[str, str] = {},
        timeout: Optional[float] = None,
    ) -> Response:
        """One request, whose errors are exceptions."""
        response = self._transport.request(method, path, parts, self._headers(headers), timeout)
        if response.status >= 400:
            raise _error(response)
        return response

    def _json(self, method: str, path: str, body: Any = None, timeout: Optional[float] = None) -> Any:
        parts = [] if body is None else [json.dumps(body).encode()]
        headers = {"accept": "application/json", **({} if body is None else {"content-type": "application/json"})}
        response = self.request(method, path, parts, headers, timeout)
        return json.loads(bytes(response.body)) if response.body else None

    # Losses

    def evaluate(
        self,
        loss: Union[str, Mapping[str, Any]],
        tensors: Mapping[str, Any],
        *,
        timeout: Optional[float] = None,
        **options: Any,
    ) -> Tuple[Dict[str, np.ndarray], Dict[str, Any]]:
        """Computes a loss in the service: tensors and members of its response.

        :param loss: a name (``huber``, ``acme/robust@2``), or ``{"formula": ...}`` or ``{"definition": ...}``
        :param options: of the request: ``params``, ``reduction``, ``gradients`` ...
        """
        named = [(name, as_tensor(name, value)) for name, value in tensors.items()]
        given = {name: value for name, value in options.items() if value is not None}
        path = loss_path(loss) if isinstance(loss, str) else "/v1/losses:evaluate"
        if not isinstance(loss, str):
            given = {**given, **loss}
        headers = {"content-type": SAFETENSORS, "accept": SAFETENSORS}
        return decode(self.request("POST", path, encode(named, given), headers, timeout).body)

    def compose(
        self,
        terms: Sequence[Mapping[str, Any]],
        tensors: Mapping[str, Any],
        *,
        timeout: Optional[float] = None,
        **options: Any,
    ) -> Tuple[Dict[str, np.ndarray], Dict[str, Any]]:
        """Several losses of the same tensors in one request."""
        named = [(name, as_tensor(name, value)) for name, value in tensors.items()]
        headers = {"content-type": SAFETENSORS, "accept": SAFETENSORS}
        parts = encode(named, {"terms": list(terms), **options})
        return decode(self.request("POST", "/v1/losses:compose", parts, headers, timeout).body)

    def catalog(self, namespace: Optional[str] = None) -> List[Dict[str, Any]]:
        """All losses of the catalog, or the registered ones of a namespace."""
        found: List[Dict[str, Any]] = []
        after: Optional[str] = None
        while True:
            query = {"namespace": namespace, "after": after}
            text = urlencode({name: value for name, value in query.items() if value is not None})
            page = self._json("GET", f"/v1/losses{'?' + text if text else ''}")
            found.extend(page["losses"])
            after = page.get("next")
            if after is None:
                return found

    def describe(self, name: str) -> Dict[str, Any]:
        """One loss: formula, inputs, parameters, references, examples."""
        return self._json("GET", loss_path(name))

    def register(self, definition: Mapping[str, Any]) -> Dict[str, Any]:
        """Keeps a loss of your own under ``namespace/name``. The same definition again is no new version."""
        return self._json("POST", "/v1/losses", definition)

    def retire(self, name: str) -> None:
        """Retires the name of a registered loss; pinned versions still work."""
        self._json("DELETE", loss_path(name))

    def analyze(self, **question: Any) -> Dict[str, Any]:
        """What can be proved of a loss, such as ``analyze(loss="huber", of="predictions")``."""
        return self._json("POST", "/v1/losses:analyze", question)

    def check(self, loss: Union[str, Mapping[str, Any]], body: Mapping[str, Any]) -> Dict[str, Any]:
        """Checks the gradient of a loss at given inputs, in four ways.

        :param loss: a name, or a mapping with ``formula`` or ``definition``
        :param body: inputs by name, and options
        """
        if isinstance(loss, str):
            return self._json("POST", f"{loss_path(loss)}:check", _plain(body))
        return self._json("POST", "/v1/losses:check", _plain({**body, **loss}))

    def guide(self, **question: Any) -> Dict[str, Any]:
        """Which loss to choose, and why."""
        return self._json("GET", f"/v1/guide?{urlencode(question)}" if question else "/v1/guide")

    def source(self, name: str, target: str, **options: Any) -> str:
        """A loss as source code."""
        query = {key: json.dumps(value) if isinstance(value, dict) else value for key, value in options.items()}
        path = f"{loss_path(name)}/source/{quote(target)}?{urlencode(query)}"
        return bytes(self.request("GET", path).body).decode()

    # Kernels

    def kernel(self, loss: Union[str, Mapping[str, Any]], question: str, options: Mapping[str, Any]) -> Kernel:
        """A portable kernel: from memory, from disk, or from the service.

        :param question: what the kernel is for. Equal texts get the same kernel
        :param options: ``inputs``, ``params``, ``gradients`` ...
        :raises KernelUnavailable: if the loss has none
        :raises KernelRejected: if its bytes are not those that the service sent
        """
        with self._lock:
            known = self._kernels.get(question)
        if known is not None:
            return known
        module = self.cache.find(question)
        if module is None:
            module = self._fetch(loss, options)
            kernel = Kernel(module)
            self.cache.keep(question, module)
        else:
            kernel = Kernel(module)
        with self._lock:
            return self._kernels.setdefault(question, kernel)

    def _fetch(self, loss: Union[str, Mapping[str, Any]], options: Mapping[str, Any]) -> bytes:
        accept = {"accept": "application/wasm"}
        if isinstance(loss, str):
            query = {
                name: json.dumps(value) if isinstance(value, dict) else ",".join(value) if isinstance(value, list) else value
                for name, value in options.items()
            }
            response = self.request("GET", f"{loss_path(loss)}/kernel.wasm?{urlencode(query)}", headers=accept)
        else:
            body = {**loss, **{n: ",".join(v) if isinstance(v, list) else v for n, v in options.items()}}
            headers = {**accept, "content-type": "application/json"}
            response = self.request("POST", "/v1/losses:kernel", [json.dumps(body).encode()], headers)
        etag = response.headers.get("etag", "").strip('W/"')
        if not etag:
            raise KernelRejected("the service sent no hash with its kernel")
        return verified(bytes(response.body), etag)


def loss_path(name: str) -> str:
    return "/v1/losses/" + "/".join(quote(part, safe="@:") for part in name.split("/"))


def _plain(body: Mapping[str, Any]) -> Dict[str, Any]:
    return {name: value.tolist() if hasattr(value, "tolist") else value for name, value in body.items()}


def _error(response: Response) -> Exception:
    after = response.headers.get("retry-after")
    seconds = float(after) if after is not None and after.isdigit() else None
    try:
        document = json.loads(bytes(response.body))
        if isinstance(document, dict) and "type" in document:
            return problem_from(document, response.status, seconds)
    except ValueError:
        pass
    detail = f"the response has status {response.status} and is no problem document: it is from a proxy"
    return problem("internal", detail, status=max(500, response.status), retryable=response.status >= 500)


_DEFAULT: List[Client] = []


def default_client() -> Client:
    """The client of losses that are not given one."""
    if not _DEFAULT:
        _DEFAULT.append(Client())
    return _DEFAULT[0]


def set_default_client(client: Client) -> None:
    """:param client: of losses that are not given one from now on"""
    _DEFAULT[:] = [client]


