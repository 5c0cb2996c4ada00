"""HTTP/1.1 over connections that stay open: what a training loop needs of it, at a tenth of the cost of ``http.client``."""

from __future__ import annotations

import logging
import random
import socket
import ssl
import threading
import time
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple
from urllib.parse import urlsplit

from .errors import ServiceUnreachable, problem

log = logging.getLogger("lossd")

#: A response to a request that is repeated: its own, and those of proxies before it.
RETRIED = (429, 503)


class Response:
    __slots__ = ("status", "headers", "body")

    def __init__(self, status: int, headers: Dict[str, str], body: bytearray):
        self.status = status
        self.headers = headers
        self.body = body


class _Stale(Exception):
    """The peer closed a connection before it answered: it had been idle for too long."""


class _Connection:
    def __init__(self, address: Tuple[str, int], tls: Optional[ssl.SSLContext], timeout: float):
        raw = socket.create_connection(address, timeout)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket: Any = raw if tls is None else tls.wrap_socket(raw, server_hostname=address[0])
        self._is_plain = tls is None
        self._left = b""
        self.is_used = False

    def close(self) -> None:
        try:
            self._socket.close()
        except OSError:
            pass

    def request(self, head: bytes, parts: Sequence[Any], deadline: float) -> Tuple[Response, bool]:
        """The response, and whether the connection stays open."""
        try:
            self._send([head, *parts], deadline)
            response, keeps = self._receive(deadline)
        except (BrokenPipeError, ConnectionResetError, ConnectionAbortedError) as error:
            raise _Stale(str(error)) from error
        self.is_used = True
        return response, keeps

    def _allow(self, deadline: float) -> None:
        left = deadline - time.monotonic()
        if left <= 0:
            raise socket.timeout("timed out")
        self._socket.settimeout(left)

    def _send(self, parts: List[Any], deadline: float) -> None:
        self._allow(deadline)
        total = sum(len(part) for part in parts)
        if total <= 65536 or not self._is_plain:
            self._socket.sendall(b"".join(parts))
            return
        views = [memoryview(part) for part in parts]
        while views:
            sent = self._socket.sendmsg(views)
            while views and sent >= len(views[0]):
                sent -= len(views.pop(0))
            if views and sent:
                views[0] = views[0][sent:]

    def _more(self, deadline: float) -> bytes:
        self._allow(deadline)
        chunk = self._socket.recv(65536)
        if not chunk:
            raise _Stale("the connection was closed")
        return chunk

    def _receive(self, deadline: float) -> Tuple[Response, bool]:
        data = self._left
        while True:
            end = data.find(b"\r\n\r\n")
            if end >= 0:
                break
            data += self._more(deadline)
        lines = data[:end].decode("latin-1").split("\r\n")
        status = int(lines[0].split(" ", 2)[1])
        headers = {}
        for line in lines[1:]:
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        rest = data[end + 4 :]
        if 100 <= status < 200:
            self._left = rest
            return self._receive(deadline)
        if headers.get("transfer-encoding", "").lower() == "chunked":
            body = self._chunks(rest, deadline)
        else:
            length = 0 if status in (204, 304) else int(headers.get("content-length", "0"))
            body = self._exactly(rest, length, deadline)
        return Response(status, headers, body), headers.get("connection", "").lower() != "close"

    def _exactly(self, start: bytes, length: int, deadline: float) -> bytearray:
        self._left = start[length:]
        if len(start) >= length:
            return bytearray(start[:length])
        body = bytearray(length)
        body[: len(start)] = start
        view = memoryview(body)
        at = len(start)
        while at < length:
            self._allow(deadline)
            got = self._socket.recv_into(view[at:])
            if got == 0:
                raise ConnectionError("the connection was closed within a response")
            at += got
        return body

    def _chunks(self, data: bytes, deadline: float) -> bytearray:
        body = bytearray()
        while True:
            while b"\r\n" not in data:
                data += self._more(deadline)
            line, _, data = data.partition(b"\r\n")
            size = int(line.split(b";")[0], 16)
            while len(data) < size + 2:
                data += self._more(deadline)
            body += data[:size]
            data = data[size + 2 :]
            if size == 0:
                self._left = data
                return body


class Transport:
    """Requests to one service, from any thread. Each waits for its response on a connection of its own."""

    def __init__(
        self,
        url: str,
        *,
        headers: Mapping[str, str],
        timeout: float,
        retries: int,
        tls: Optional[ssl.SSLContext] = None,
    ):
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or parts.hostname is None:
            raise ValueError(f"the URL of a service is http://host:port or https://host:port, got {url!r}")
        self.url = url.rstrip("/")
        self._path = parts.path.rstrip("/")
        port = parts.port or (443 if parts.scheme == "https" else 80)
        self._address = (parts.hostname, port)
        self._tls = (tls or ssl.create_default_context()) if parts.scheme == "https" else None
        host = parts.netloc.rsplit("@", 1)[-1]
        self._fixed = "".join(f"{name}: {value}\r\n" for name, value in {"host": host, **headers}.items())
        self._timeout = timeout
        self._retries = retries
        self._idle: List[_Connection] = []
        self._lock = threading.Lock()

    def close(self) -> None:
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def request(
        self,
        method: str,
        path: str,
        parts: Sequence[Any] = (),
        headers: Mapping[str, str] = {},
        timeout: Optional[float] = None,
    ) -> Response:
        """Repeats what the service refuses for the moment, until it succeeds or the deadline passes.

        :raises DeadlineExceeded: after ``timeout`` seconds
        :raises ServiceUnreachable: if there is no connection, after as many attempts as are allowed
        """
        allowed = self._timeout if timeout is None else timeout
        deadline = time.monotonic() + allowed
        for attempt in range(self._retries + 1):
            is_last = attempt == self._retries
            try:
                response = self._once(method, path, parts, headers, deadline)
            except socket.timeout as error:
                raise problem(
                    "deadline-exceeded", f"no response within {allowed:g} s", status=504, retryable=True
                ) from error
            except OSError as error:
                if is_last or not self._wait(attempt, None, deadline, f"{self.url}: {error}"):
                    raise ServiceUnreachable(f"{self.url} cannot be reached: {error}") from error
                continue
            if response.status not in RETRIED or is_last:
                return response
            if not self._wait(attempt, response.headers.get("retry-after"), deadline, f"status {response.status}"):
                return response
        raise AssertionError("unreachable")

    def _wait(self, attempt: int, retry_after: Optional[str], deadline: float, why: str) -> bool:
        """Waits before the next attempt, unless the deadline comes first."""
        least = float(retry_after) if retry_after is not None and retry_after.replace(".", "", 1).isdigit() else 0.0
        # Full jitter, so that clients which were refused together do not come back together.
        pause = least + random.uniform(0, min(2.0, 0.05 * 2**attempt))
        if time.monotonic() + pause >= deadline:
            return False
        log.warning("lossd: %s; attempt %d follows in %.2f s", why, attempt + 2, pause)
        time.sleep(pause)
        return True

    def _once(
        self, method: str, path: str, parts: Sequence[Any], headers: Mapping[str, str], deadline: float
    ) -> Response:
        while True:
            connection = self._take(deadline)
            left = max(1, int((deadline - time.monotonic()) * 1000))
            more = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
            length = sum(len(part) for part in parts)
            sized = f"content-length: {length}\r\n" if parts or method != "GET" else ""
            head = f"{method} {self._path}{path} HTTP/1.1\r\n{self._fixed}{more}x-request-timeout-ms: {left}\r\n{sized}\r\n"
            try:
                response, keeps = connection.request(head.encode("latin-1"), parts, deadline)
            except _Stale as error:
                connection.close()
                if connection.is_used:
                    continue
                raise ConnectionError(str(error)) from error
            except BaseException:
                connection.close()
                raise
            if keeps:
                with self._lock:
                    self._idle.append(connection)
            else:
                connection.close()
            return response

    def _take(self, deadline: float) -> _Connection:
        with self._lock:
            if self._idle:
                return self._idle.pop()
        return _Connection(self._address, self._tls, max(0.001, deadline - time.monotonic()))
