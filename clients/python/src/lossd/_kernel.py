"""Portable kernels in this process (docs/kernel-abi.md): one WebAssembly module, any number of threads."""

from __future__ import annotations

import ctypes
import json
import math
import threading
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from ._numbers import many, spelled
from .errors import AbiMismatch, KernelRejected, MissingRuntime, problem, problem_at

#: The version of the binary interface that this package understands.
ABI = 1

_DTYPES = {"float32": np.dtype(np.float32), "float64": np.dtype(np.float64), "int32": np.dtype(np.int32)}

Shapes = Tuple[Optional[Tuple[int, ...]], ...]


def _leb(data: bytes, at: int) -> Tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, at


def manifest_of(module: bytes) -> Dict[str, Any]:
    """The manifest of a module, from its custom section ``lossd``.

    :raises KernelRejected: if it has none
    :raises AbiMismatch: if this package does not understand it
    """
    if module[:8] != b"\0asm\x01\0\0\0":
        raise KernelRejected("it is not a WebAssembly module")
    at = 8
    while at < len(module):
        section = module[at]
        size, at = _leb(module, at + 1)
        if section == 0:
            length, start = _leb(module, at)
            if module[start : start + length] == b"lossd":
                manifest: Dict[str, Any] = json.loads(module[start + length : at + size])
                check_abi(manifest)
                return manifest
        at += size
    raise KernelRejected("the module has no section lossd")


def check_abi(manifest: Mapping[str, Any]) -> None:
    """:raises AbiMismatch: which says what to install"""
    abi = manifest.get("abi")
    if abi == ABI:
        return
    newer = isinstance(abi, int) and abi > ABI
    remedy = "upgrade this package: pip install --upgrade lossd" if newer else "upgrade the service, or delete the cache"
    raise AbiMismatch(f"the kernel has ABI {abi}, this package understands {ABI}; {remedy}")


class Output(NamedTuple):
    """What a kernel computed. Arrays are copies."""

    value: float
    denominator: float
    count: int
    arrays: Dict[str, np.ndarray]


class _Layout:
    """Views of an instance's memory, for given shapes."""

    __slots__ = ("inputs", "outputs", "params", "written", "floats", "words", "status")

    def __init__(self, inputs: List[Optional[np.ndarray]], outputs: Dict[str, np.ndarray], params: Any, floats: Any, words: Any, status: Any):
        self.inputs = inputs
        self.outputs = outputs
        self.params = params
        #: The numbers that are there.
        self.written: Any = None
        self.floats = floats
        self.words = words
        self.status = status


class Kernel:
    """A compiled kernel.

    :param module: the bytes of the module
    """

    def __init__(self, module: bytes):
        #: The bytes, so that the kernel can be sent to another process.
        self.module = module
        self.manifest = manifest_of(module)
        self.inputs: List[Dict[str, Any]] = self.manifest["inputs"]
        self.names = [entry["name"] for entry in self.inputs]
        self.checks: Dict[str, Dict[str, Any]] = {check["name"]: check for check in self.manifest["checks"]}
        self.params = [param["name"] for param in self.manifest["params"]]
        self.defaults = [_number(param["value"]) for param in self.manifest["params"]]
        self.dtypes = [_DTYPES[entry["dtype"]] for entry in self.inputs]
        self.reductions = {name: place for place, name in enumerate(self.manifest["reductions"])}
        self._module = _runtime().compile(module)
        self.idle: List[_Instance] = []

    def run(
        self,
        arrays: Sequence[Optional[np.ndarray]],
        reduction: str,
        params: Sequence[float],
        denominator: float = math.nan,
        outputs: Optional[Sequence[str]] = None,
    ) -> Output:
        """Computes the loss and the gradients.

        :param arrays: the inputs in the order of ``names``; None for those that are not given
        :param params: in the order of ``params``
        :param outputs: names of the arrays that are wanted; all by default
        :raises InvalidRequest: for the first number that is invalid
        """
        instance = self.take()
        try:
            return instance.run(arrays, self.reductions[reduction], params, denominator, outputs)
        finally:
            self.idle.append(instance)

    def take(self) -> "_Instance":
        """An instance that nobody uses. Who takes it appends it to ``idle`` afterwards; both are atomic."""
        try:
            return self.idle.pop()
        except IndexError:
            return _Instance(self)

    def defaults_of(self, schemas: Mapping[str, Any]) -> List[float]:
        """The values of parameters that a call does not give: the loss's own, not those the kernel was written for."""
        return [_number(schemas[name].get("default", own)) for name, own in zip(self.params, self.defaults)]

    # Faults, in the words of the service

    def sizes_for(self, shapes: Shapes) -> Dict[str, int]:
        """The sizes of the axes.

        :raises InvalidRequest: if shapes do not match
        """
        sizes: Dict[str, Tuple[int, str]] = {}
        rest: Optional[Tuple[Tuple[int, ...], str]] = None
        for entry, shape in zip(self.inputs[:-2], shapes):
            if shape is None or entry["axes"] == ["...[-1]"]:
                continue
            name, axes = entry["name"], entry["axes"]
            width = len(shape) - len(axes) + 1
            place = 0
            for axis in axes:
                if axis == "...":
                    own = shape[place : place + width]
                    place += width
                    if rest is not None and rest[0] != own:
                        raise _shape_problem(
                            name,
                            f"has shape {_shape(own)}, but {rest[1]} has {_shape(rest[0])}; inputs are not broadcast",
                        )
                    rest = rest or (own, name)
                    continue
                size = shape[place]
                place += 1
                if axis.isdigit() and size != int(axis):
                    raise _shape_problem(name, f"has {many(size, 'elements')} along an axis that must have {axis}")
                known = sizes.setdefault(axis, (size, name))
                if known[0] != size:
                    raise _shape_problem(name, f"has {_along(axis, size)}, but {known[1]} has {known[0]}")
        found = {axis: size for axis, (size, _) in sizes.items()}
        if rest is not None:
            found["..."] = math.prod(rest[0])
            found["...[0]"] = rest[0][0] if rest[0] else 1
            found["...[-1]"] = rest[0][-1] if rest[0] else 1
        self._check_others(shapes, found, rest[0] if rest else ())
        return found

    def _check_others(self, shapes: Shapes, sizes: Mapping[str, int], rest: Tuple[int, ...]) -> None:
        """The inputs that give no axis its size."""
        for entry, shape in zip(self.inputs, shapes):
            name, axes = entry["name"], entry["axes"]
            is_common = name in ("sample_weight", "grad_output")
            if shape is None or not (is_common or axes == ["...[-1]"]):
                continue
            wanted = self.shape_of(axes, sizes, rest)
            if is_common and shape != wanted:
                raise _shape_problem(name, f"must have shape {_shape(wanted)}, got {_shape(shape)}")
            if not is_common and shape != wanted:
                detail = f"requires shape {_shape(wanted)}, the last axis of the others; got {many(math.prod(shape), 'numbers')}"
                raise _shape_problem(name, detail)

    def shape_of(self, axes: Sequence[str], sizes: Mapping[str, int], rest: Tuple[int, ...]) -> Tuple[int, ...]:
        shape: List[int] = []
        for axis in axes:
            if axis == "...":
                shape.extend(rest)
            else:
                shape.append(int(axis) if axis.isdigit() else sizes[axis])
        return tuple(shape)

    def fault(self, status: int, place: int, element: int, arrays: Sequence[Optional[np.ndarray]]) -> Exception:
        """The problem that a kernel has found.

        :param arrays: the inputs as they were given
        """
        code = self.manifest["statuses"][status]
        if code == "empty-batch":
            return problem("empty-batch", "the mean over an empty batch is undefined; use sum or none, or send a denominator")
        name = self.names[place]
        array = arrays[place]
        assert array is not None
        check = self.checks[name]
        value = spelled(array.reshape(-1)[element])
        pointer = "/".join(["", name, *(str(i) for i in np.unravel_index(element, array.shape))])
        hint = f"; {check['outside']}" if check.get("outside") else ""
        if code == "box-corners":
            far, near = ("x2", "x1") if element % 4 == 2 else ("y2", "y1")
            before = spelled(array.reshape(-1)[element - 2])
            return problem_at("invalid-value", pointer, f"{far} must be >= {near}, got {value} after {before}")
        if code == "excepted-label":
            return problem_at("label-out-of-range", pointer, f"must not be the blank, {check['excepted']}")
        if code == "invalid-value":
            return problem_at(code, pointer, f"{check['words']}, got {value}{hint}")
        return problem_at(code, pointer, f"{self._range_of(check, arrays)}, got {value}{hint}")

    def _range_of(self, check: Mapping[str, Any], arrays: Sequence[Optional[np.ndarray]]) -> str:
        rule = check.get("indices")
        low, high = -(2**31), 2**31
        ignored = None
        if rule is not None:
            ignored = rule.get("ignored")
            low = 0
            if rule.get("axis") is not None:
                shapes = tuple(None if array is None else array.shape for array in arrays)
                high = self.sizes_for(shapes)[rule["axis"]] + rule["offset"]
        exception = "" if ignored is None else f" (or {ignored}, which is ignored)"
        return f"must be an integer from {low} to {high - 1}{exception}"


class _Instance:
    """One memory. It belongs to one thread at a time."""

    def __init__(self, kernel: Kernel):
        self._kernel = kernel
        self._exports = kernel._module.instantiate()
        self._current: Optional[Tuple[Shapes, int]] = None
        self._layout: Any = None

    def run(
        self,
        arrays: Sequence[Optional[np.ndarray]],
        reduction: int,
        params: Sequence[float],
        denominator: float,
        outputs: Optional[Sequence[str]],
    ) -> Output:
        shapes = tuple([None if array is None else array.shape for array in arrays])
        if self._current is None or self._current[0] != shapes:
            self._lay_out(shapes)
        layout = self._layout
        value = self.compute(arrays, reduction, params, denominator)
        wanted = layout.outputs if outputs is None else outputs
        found = {name: layout.outputs[name].copy() for name in wanted}
        return Output(value, float(layout.floats[1]), int(layout.floats[2]), found)

    def compute(
        self, arrays: Sequence[Optional[np.ndarray]], reduction: int, params: Sequence[float], denominator: float
    ) -> float:
        """The value, with the arrays left in place; their shapes are those of the last call."""
        layout = self._layout
        for place, view in enumerate(layout.inputs):
            if view is not None:
                _copy(view, arrays[place], self._kernel.names[place])
        if layout.written is not params or denominator == denominator:
            layout.params[:-1] = params
            layout.params[-1] = denominator
            layout.written = params if denominator != denominator else None
        value: float = self._exports.run(reduction)
        if layout.status.value != 0:
            raise self._kernel.fault(int(layout.words[0]), int(layout.words[1]), int(layout.words[2]), arrays)
        return value

    def is_for(self, arrays: Sequence[Optional[np.ndarray]]) -> bool:
        """Whether the last call had arrays of these shapes."""
        current = self._current
        if current is None:
            return False
        for shape, array in zip(current[0], arrays):
            if (shape is not None) if array is None else (array.shape != shape):
                return False
        return True

    def output(self, name: str) -> np.ndarray:
        """An array where the last call left it."""
        view: np.ndarray = self._layout.outputs[name]
        return view

    def _lay_out(self, shapes: Shapes) -> None:
        kernel, exports = self._kernel, self._exports
        sizes = kernel.sizes_for(shapes)
        rest = _rest_of(kernel, shapes)
        given = (shapes[-2] is not None) + 2 * (shapes[-1] is not None)
        names = kernel.manifest["sizes"]
        exports.view(exports.sizes, np.dtype(np.int32), (len(names),))[:] = [sizes.get(name, 1) for name in names]
        self._current = None
        status = exports.prepare(given)
        if status != 0:
            raise _layout_problem(kernel, status, sizes)
        inputs = [
            None if shape is None else exports.view(exports.input(place), dtype, shape)
            for place, (dtype, shape) in enumerate(zip(kernel.dtypes, shapes))
        ]
        outputs = {}
        for place, entry in enumerate(kernel.manifest["outputs"]):
            shape = kernel.shape_of(entry["axes"], sizes, rest)
            outputs[entry["name"]] = exports.view(exports.output(place), _DTYPES[entry["dtype"]], shape)
        params = exports.view(exports.params, np.dtype(np.float64), (len(kernel.params) + 1,))
        floats = exports.view(exports.result, np.dtype(np.float64), (3,))
        words = exports.view(exports.result + 24, np.dtype(np.int32), (3,))
        status = ctypes.c_int32.from_address(words.ctypes.data)
        self._layout = _Layout(inputs, outputs, params, floats, words, status)
        self._current = (shapes, given)


def _rest_of(kernel: Kernel, shapes: Shapes) -> Tuple[int, ...]:
    for entry, shape in zip(kernel.inputs, shapes):
        if shape is not None and "..." in entry["axes"]:
            place = entry["axes"].index("...")
            return shape[place : place + len(shape) - len(entry["axes"]) + 1]
    return ()


def _layout_problem(kernel: Kernel, status: int, sizes: Mapping[str, int]) -> Exception:
    if status == 2:
        axis = next(axis for axis, size in sizes.items() if size == 0)
        owner = next(entry["name"] for entry in kernel.inputs if axis in entry["axes"])
        return _shape_problem(owner, f"the axis {axis} must not be empty")
    if status == 4:
        return MemoryError("the memory of a kernel cannot grow")
    return problem("too-expensive", "a kernel has at most 4 GiB of memory; let the service compute it")


def _copy(view: np.ndarray, array: Any, name: str) -> None:
    if view.dtype != np.int32 or array.dtype.itemsize <= 4:
        view[...] = array
        return
    np.copyto(view, array, casting="unsafe")
    wrong = np.flatnonzero(view != array)
    if len(wrong) > 0:
        element = int(wrong[0])
        value = int(array.reshape(-1)[element])
        detail = f"element {element} must be an integer from {-(2**31)} to {2**31 - 1}, got {value}"
        raise problem_at("invalid-value", f"/{name}", detail)


def _number(value: Any) -> float:
    return {"Infinity": math.inf, "-Infinity": -math.inf, "NaN": math.nan, None: math.nan}.get(value, value)


def _shape(shape: Sequence[int]) -> str:
    return f"[{', '.join(str(size) for size in shape)}]"


def _along(axis: str, size: int) -> str:
    return many(size, axis) if axis.endswith("s") else f"{size} along its axis {axis}"


def _shape_problem(name: str, detail: str) -> Exception:
    return problem_at("shape-mismatch", f"/{name}", detail)


# The runtime


class _Runtime:
    def __init__(self) -> None:
        try:
            import wasmtime
        except ImportError as error:
            raise MissingRuntime("local kernels need wasmtime: pip install 'lossd[local]'") from error
        self._wasmtime = wasmtime
        config = wasmtime.Config()
        config.wasm_simd = True
        self._engine = wasmtime.Engine(config)

    def compile(self, module: bytes) -> "_Module":
        return _Module(self._wasmtime, self._engine, module)


class _Module:
    def __init__(self, wasmtime: Any, engine: Any, module: bytes):
        self._wasmtime = wasmtime
        self._engine = engine
        self._module = wasmtime.Module(engine, module)

    def instantiate(self) -> "_Exports":
        wasmtime = self._wasmtime
        store = wasmtime.Store(self._engine)
        linker = wasmtime.Linker(self._engine)
        f64 = wasmtime.ValType.f64()
        for name, function in (("sin", math.sin), ("cos", math.cos)):
            linker.define_func("env", name, wasmtime.FuncType([f64], [f64]), _of_any_number(function))
        return _Exports(store, linker.instantiate(store, self._module).exports(store))


def _of_any_number(function: Any) -> Any:
    return lambda x: function(x) if math.isfinite(x) else math.nan


class _Exports:
    def __init__(self, store: Any, exports: Any):
        self._store = store
        self._memory = exports["memory"]
        #: ``run(reduction)``: the value.
        self.run = _direct_call(store, exports["lossd_run"])
        self._exports = exports
        self.sizes = exports["lossd_sizes"](store)
        self.params = exports["lossd_params"](store)
        self.result = exports["lossd_result"](store)

    def prepare(self, given: int) -> int:
        return int(self._exports["lossd_prepare"](self._store, given))

    def input(self, place: int) -> int:
        return int(self._exports["lossd_input"](self._store, place)) & 0xFFFFFFFF

    def output(self, place: int) -> int:
        return int(self._exports["lossd_output"](self._store, place)) & 0xFFFFFFFF

    def view(self, address: int, dtype: np.dtype, shape: Tuple[int, ...]) -> np.ndarray:
        """The memory at an address, until it grows."""
        count = math.prod(shape)
        start = ctypes.addressof(self._memory.data_ptr(self._store).contents) + address
        buffer = (ctypes.c_char * (count * dtype.itemsize)).from_address(start)
        return np.frombuffer(buffer, dtype, count).reshape(shape)


def _direct_call(store: Any, function: Any) -> Any:
    """``function(store, i32) -> f64`` without the checks of each call, which take longer than most kernels."""
    try:
        from wasmtime import _ffi as ffi

        call, context = ffi.wasmtime_func_call_unchecked, store._context()
        raw = (ffi.wasmtime_val_raw_t * 1)()
        trap = ctypes.POINTER(ffi.wasm_trap_t)()
        own = ctypes.byref(function._func)
        at_trap = ctypes.byref(trap)
    except (ImportError, AttributeError):
        return lambda reduction: function(store, reduction)
    cell = raw[0]

    def run(reduction: int) -> float:
        cell.i32 = reduction
        error = call(context, own, raw, 1, at_trap)
        if error or trap:
            # Again, with an exception that says why.
            return float(function(store, reduction))
        return float(cell.f64)

    return run


_RUNTIME: List[_Runtime] = []
_RUNTIME_LOCK = threading.Lock()


def _runtime() -> _Runtime:
    with _RUNTIME_LOCK:
        if not _RUNTIME:
            _RUNTIME.append(_Runtime())
        return _RUNTIME[0]
