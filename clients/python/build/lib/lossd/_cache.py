"""Kernels on disk, by the hash of their content, so that they are fetched once and work offline afterwards."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import tempfile
from pathlib import Path
from typing import Optional

from .errors import KernelRejected

log = logging.getLogger("lossd")


def default_folder() -> Path:
    """``$LOSSD_CACHE``, or ``lossd`` in the user's cache folder."""
    own = os.environ.get("LOSSD_CACHE")
    if own:
        return Path(own)
    base = os.environ.get("XDG_CACHE_HOME")
    return Path(base) / "lossd" if base else Path.home() / ".cache" / "lossd"


def verified(module: bytes, sha256: str) -> bytes:
    """:raises KernelRejected: if the bytes have another hash"""
    found = hashlib.sha256(module).hexdigest()
    if found != sha256:
        raise KernelRejected(f"the kernel has the hash {found}, expected {sha256}")
    return module


class KernelCache:
    """Two folders: ``kernels/<hash>.wasm``, and ``index/<hash of the question>.json`` with the hash of the answer."""

    def __init__(self, folder: Optional[Path] = None):
        self.folder = folder or default_folder()

    def _index(self, question: str) -> Path:
        return self.folder / "index" / f"{hashlib.sha256(question.encode()).hexdigest()}.json"

    def find(self, question: str) -> Optional[bytes]:
        """The module, or None if it is not here.

        :raises KernelRejected: if it is here, but is not what it was
        """
        try:
            sha256 = json.loads(self._index(question).read_text())["sha256"]
            module = (self.folder / "kernels" / f"{sha256}.wasm").read_bytes()
        except (OSError, ValueError, KeyError):
            return None
        return verified(module, sha256)

    def keep(self, question: str, module: bytes) -> None:
        """A folder that cannot be written to is only slower."""
        sha256 = hashlib.sha256(module).hexdigest()
        try:
            _write(self.folder / "kernels" / f"{sha256}.wasm", module)
            _write(self._index(question), json.dumps({"question": question, "sha256": sha256}).encode())
        except OSError as error:
            log.warning("lossd: kernels are not kept in %s: %s", self.folder, error)


def _write(path: Path, content: bytes) -> None:
    """Replaces a file at once, so that another process never reads half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise
