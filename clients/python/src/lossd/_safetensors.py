"""The wire format: tensors by name, and options as JSON in the metadata (docs/formats.md)."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any, Dict, List, Mapping, Sequence, Tuple

import numpy as np

from .errors import problem_at

_CODES = {
    "float32": "F32",
    "float64": "F64",
    "float16": "F16",
    "bfloat16": "BF16",
    "int64": "I64",
    "int32": "I32",
    "uint8": "U8",
    "bool": "BOOL",
}
_WIDENED = {"int8": "int32", "int16": "int32", "uint16": "int32", "uint32": "int64", "uint64": "int64"}

#: The dtypes that are sent as they are, but for bfloat16, which NumPy does not have.
_NATIVE = {np.dtype(name): code for name, code in _CODES.items() if name != "bfloat16"}

Tensor = Tuple[str, np.ndarray]


def as_tensor(name: str, value: Any) -> np.ndarray:
    """An array in C order with a dtype that the service knows. Python's own numbers become float32, and integers int64."""
    if type(value) is np.ndarray and value.dtype in _NATIVE and value.flags.c_contiguous:
        return value
    is_array = hasattr(value, "dtype")
    array = np.asarray(value)
    if not is_array and array.dtype == np.float64:
        array = array.astype(np.float32)
    widened = _WIDENED.get(array.dtype.name)
    if widened is not None:
        array = array.astype(widened)
    if array.dtype.name not in _CODES:
        raise problem_at("dtype-unsupported", f"/{name}", f"has the dtype {array.dtype.name}, which no tensor can have")
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    # It would turn a single number into an array of one.
    return array if array.flags.c_contiguous else np.ascontiguousarray(array)


@lru_cache(maxsize=256)
def _header(infos: Tuple[Tuple[str, np.dtype, Tuple[int, ...], int], ...], metadata: Tuple[Tuple[str, str], ...]) -> bytes:
    header: Dict[str, Any] = {"__metadata__": dict(metadata)} if metadata else {}
    offset = 0
    for name, dtype, shape, size in infos:
        header[name] = {"dtype": _CODES[dtype.name], "shape": list(shape), "data_offsets": [offset, offset + size]}
        offset += size
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def encode(tensors: Sequence[Tensor], options: Mapping[str, Any]) -> List[Any]:
    """The parts of a body. Arrays are sent from where they are."""
    infos = tuple((name, array.dtype, array.shape, array.nbytes) for name, array in tensors)
    metadata = tuple((name, json.dumps(value, separators=(",", ":"))) for name, value in options.items())
    return [_header(infos, metadata), *(memoryview(array.reshape(-1).view(np.uint8)) for _, array in tensors if array.nbytes)]


_DTYPES = {code: name for name, code in _CODES.items()}


@lru_cache(maxsize=256)
def _parsed(text: bytes) -> Dict[str, Any]:
    return json.loads(text)


def dtype_of(code: str) -> np.dtype:
    name = _DTYPES[code]
    if name != "bfloat16":
        return np.dtype(name)
    try:
        import ml_dtypes
    except ImportError as error:
        raise ImportError("bfloat16 arrays need the package ml_dtypes") from error
    return np.dtype(ml_dtypes.bfloat16)


def decode(body: bytearray) -> Tuple[Dict[str, np.ndarray], Dict[str, Any]]:
    """Tensors, which are views of the body, and members."""
    length = int.from_bytes(body[:8], "little")
    start = 8 + length
    header = _parsed(bytes(body[8:start]))
    tensors = {}
    for name, info in header.items():
        if name == "__metadata__":
            continue
        dtype = dtype_of(info["dtype"])
        first, last = info["data_offsets"]
        array = np.frombuffer(body, dtype, (last - first) // dtype.itemsize, start + first)
        tensors[name] = array.reshape(info["shape"])
    members = {name: json.loads(text) for name, text in header.get("__metadata__", {}).items()}
    return tensors, members
