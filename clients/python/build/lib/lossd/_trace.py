"""Losses written as Python functions: traced once into a formula, which runs wherever any other loss does."""

from __future__ import annotations

import inspect
import math
import sys
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Tuple, Union

from ._client import Client
from ._loss import Loss, load_catalog
from .errors import LossdError

__all__ = ["loss", "where", "Expression", "TraceError"]


class TraceError(LossdError, TypeError):
    """A function cannot be written as a formula. The message has the file and the line."""


Number = Union[int, float]
Operand = Union["Expression", int, float, bool]

#: How tightly operators bind, as in the formula language.
_TERNARY, _OR, _AND, _NOT, _COMPARE, _SUM, _PRODUCT, _UNARY, _POWER, _ATOM = range(10)


class Expression:
    """A tensor while a function is traced. It has no numbers, so it cannot be an ``if`` or a loop."""

    __slots__ = ("text", "level")

    def __array_ufunc__(self, ufunc: Any, method: str, *operands: Any, **_: Any) -> Any:
        """Numbers of NumPy are numbers; its functions are foreign."""
        own = _OPERATORS.get(ufunc.__name__) if method == "__call__" else None
        if own is None:
            raise _refused(f"the foreign call numpy.{ufunc.__name__}: use lossd.{ufunc.__name__}")
        return own(*(o if isinstance(o, Expression) or not hasattr(o, "item") else o.item() for o in operands))

    def __init__(self, text: str, level: int = _ATOM):
        self.text = text
        self.level = level

    def __repr__(self) -> str:
        return f"<tensor {self.text}>"

    def __add__(self, other: Operand) -> "Expression":
        return _binary("+", _SUM, self, other)

    def __radd__(self, other: Operand) -> "Expression":
        return _binary("+", _SUM, other, self)

    def __sub__(self, other: Operand) -> "Expression":
        return _binary("-", _SUM, self, other)

    def __rsub__(self, other: Operand) -> "Expression":
        return _binary("-", _SUM, other, self)

    def __mul__(self, other: Operand) -> "Expression":
        return _binary("*", _PRODUCT, self, other)

    def __rmul__(self, other: Operand) -> "Expression":
        return _binary("*", _PRODUCT, other, self)

    def __truediv__(self, other: Operand) -> "Expression":
        return _binary("/", _PRODUCT, self, other)

    def __rtruediv__(self, other: Operand) -> "Expression":
        return _binary("/", _PRODUCT, other, self)

    def __pow__(self, other: Operand) -> "Expression":
        return _power(self, other)

    def __rpow__(self, other: Operand) -> "Expression":
        return _power(other, self)

    def __neg__(self) -> "Expression":
        return Expression(f"-{_within(self, _UNARY)}", _UNARY)

    def __pos__(self) -> "Expression":
        return self

    def __abs__(self) -> "Expression":
        return _called("abs", self)

    def __lt__(self, other: Operand) -> "Expression":
        return _binary("<", _COMPARE, self, other, False)

    def __le__(self, other: Operand) -> "Expression":
        return _binary("<=", _COMPARE, self, other, False)

    def __gt__(self, other: Operand) -> "Expression":
        return _binary(">", _COMPARE, self, other, False)

    def __ge__(self, other: Operand) -> "Expression":
        return _binary(">=", _COMPARE, self, other, False)

    def __eq__(self, other: object) -> "Expression":  # type: ignore[override]
        return _binary("==", _COMPARE, self, other, False)  # type: ignore[arg-type]

    def __ne__(self, other: object) -> "Expression":  # type: ignore[override]
        return _binary("!=", _COMPARE, self, other, False)  # type: ignore[arg-type]

    __hash__ = None  # type: ignore[assignment]

    def __and__(self, other: Operand) -> "Expression":
        return _binary("and", _AND, self, other)

    def __or__(self, other: Operand) -> "Expression":
        return _binary("or", _OR, self, other)

    def __invert__(self) -> "Expression":
        return Expression(f"not {_within(self, _COMPARE)}", _NOT)

    def __bool__(self) -> bool:
        raise _refused("an if over a tensor: use lossd.where(condition, yes, no), and & | ~ for and, or, not")

    def __iter__(self) -> Any:
        raise _refused("a loop over a tensor: use lossd.sum(x, axis=...) and its kin")

    def __float__(self) -> float:
        raise _refused("a function of plain numbers: use the one of lossd, such as lossd.exp")

    def __int__(self) -> int:
        raise _refused("a whole number from a tensor")

    __index__ = __int__

    def __len__(self) -> int:
        raise _refused("the length of a tensor: use lossd.size(axis)")

    def __getitem__(self, _: Any) -> "Expression":
        raise _refused("an index: use lossd.pick(x, index, axis=...)")

    def __array__(self, *_: Any, **__: Any) -> Any:
        raise _refused("a foreign call: use the functions of lossd")

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        raise _refused(f"the attribute {name} of a tensor: use the functions of lossd")


def _as_tensor(value: Operand) -> "Expression":
    return value if isinstance(value, Expression) else Expression(*_text(value))


#: What NumPy calls for an operator between one of its numbers and a tensor.
_OPERATORS: Mapping[str, Callable[..., Any]] = {
    "add": lambda a, b: _as_tensor(a) + b,
    "subtract": lambda a, b: _as_tensor(a) - b,
    "multiply": lambda a, b: _as_tensor(a) * b,
    "divide": lambda a, b: _as_tensor(a) / b,
    "power": lambda a, b: _as_tensor(a) ** b,
    "less": lambda a, b: _as_tensor(a) < b,
    "less_equal": lambda a, b: _as_tensor(a) <= b,
    "greater": lambda a, b: _as_tensor(a) > b,
    "greater_equal": lambda a, b: _as_tensor(a) >= b,
    "equal": lambda a, b: _as_tensor(a) == b,
    "not_equal": lambda a, b: _as_tensor(a) != b,
}


def _refused(what: str) -> TraceError:
    frame = sys._getframe(2)
    while frame is not None and frame.f_globals.get("__name__", "").startswith("lossd."):
        if frame.f_back is None:
            break
        frame = frame.f_back
    place = f"{frame.f_code.co_filename}, line {frame.f_lineno}"
    return TraceError(f"{place}: {what}")


def _text(value: Operand) -> Tuple[str, int]:
    if isinstance(value, Expression):
        return value.text, value.level
    if isinstance(value, bool):
        return ("true" if value else "false"), _ATOM
    if hasattr(value, "item"):
        value = value.item()  # type: ignore[union-attr]
    if isinstance(value, (int, float)) and math.isfinite(value):
        return (repr(value), _ATOM) if value >= 0 else (repr(value), _UNARY)
    if isinstance(value, float) and math.isinf(value):
        return ("inf", _ATOM) if value > 0 else ("-inf", _UNARY)
    raise _refused(f"{value!r}, which is neither a tensor nor a number")


def _within(value: Operand, level: int, strict: bool = True) -> str:
    text, own = _text(value)
    return f"({text})" if own < level or (strict and own == level) else text


def _binary(sign: str, level: int, a: Operand, b: Operand, is_left: bool = True) -> Expression:
    return Expression(f"{_within(a, level, not is_left)} {sign} {_within(b, level)}", level)


def _power(a: Operand, b: Operand) -> Expression:
    return Expression(f"{_within(a, _POWER)}^{_within(b, _POWER)}", _POWER)


def _called(name: str, *args: Operand, axis: Union[None, str, Tuple[str, ...]] = None) -> Expression:
    axes = () if axis is None else (axis,) if isinstance(axis, str) else tuple(axis)
    parts = [*(_text(arg)[0] for arg in args), *axes]
    return Expression(f"{name}({', '.join(parts)})")


def where(condition: Operand, yes: Operand, no: Operand) -> Expression:
    """``yes`` where the condition is true, and ``no`` elsewhere. A NaN on the other side does not count."""
    return Expression(f"{_within(condition, _TERNARY)} ? {_within(yes, _TERNARY)} : {_within(no, _TERNARY)}", _TERNARY)


def _function(name: str, parameters: Sequence[str]) -> Callable[..., Any]:
    axes = [kind for kind in parameters if kind in ("axis", "axes")]
    least = sum(1 for kind in parameters if kind not in ("axis", "axes") and not kind.endswith("?"))

    def call(*args: Operand, axis: Union[None, str, Tuple[str, ...]] = None) -> Any:
        if axes and axis is None and name not in ("max", "min"):
            args, axis = _with_axis(name, args, len(axes))
        if len(args) < least and not (axis is not None and name in ("max", "min")):
            raise _refused(f"{name} takes {least} arguments, got {len(args)}")
        is_plain = axis is None and not any(isinstance(arg, Expression) for arg in args)
        if is_plain and name in _PLAIN:
            return _PLAIN[name](*args)
        return _called(name, *args, axis=axis)

    call.__name__ = name
    call.__qualname__ = name
    call.__doc__ = f"``{name}`` of the formula language{', along axis=...' if axes else ''}."
    return call


def _with_axis(name: str, args: Tuple[Any, ...], count: int) -> Tuple[Tuple[Any, ...], Any]:
    """Names of axes may be given last, as in formulas."""
    names = tuple(arg for arg in args if isinstance(arg, str))
    if not names:
        raise _refused(f"{name} needs axis=..., the name of {'an axis' if count == 1 else 'axes'}")
    return tuple(arg for arg in args if not isinstance(arg, str)), names


_PLAIN: Mapping[str, Callable[..., Any]] = {
    "abs": abs,
    "exp": math.exp,
    "expm1": math.expm1,
    "log": math.log,
    "log1p": math.log1p,
    "log2": math.log2,
    "log10": math.log10,
    "sqrt": math.sqrt,
    "sin": math.sin,
    "cos": math.cos,
    "tanh": math.tanh,
    "erf": math.erf,
    "max": max,
    "min": min,
}

def _language() -> Dict[str, Callable[..., Any]]:
    functions: Mapping[str, Sequence[str]] = load_catalog()["functions"]
    return {name: _function(name, parameters) for name, parameters in functions.items()}


FUNCTIONS: Dict[str, Callable[..., Any]] = _language()


def loss(
    function: Optional[Callable[..., Any]] = None,
    *,
    axes: Optional[Mapping[str, str]] = None,
    name: Optional[str] = None,
    reduction: Optional[str] = None,
    mode: str = "auto",
    client: Optional[Client] = None,
) -> Any:
    """Makes a loss of a function of tensors. Arguments without a default are inputs, those with one are parameters.

    >>> @lossd.loss
    ... def cauchy(predictions, targets, scale=1.0):
    ...     return lossd.log1p(((predictions - targets) / scale) ** 2)
    >>> value, gradient = cauchy.value_and_gradient(p, t)

    :param axes: input -> its axes (``"rows,classes"``); by default any, the same for all
    :raises TraceError: for a loop over a tensor, an ``if`` that depends on one, and a foreign call
    """
    if function is None:
        return lambda actual: loss(actual, axes=axes, name=name, reduction=reduction, mode=mode, client=client)
    inputs, params = _arguments(function)
    text = _trace(function, inputs, params)
    made = Loss(
        definition=_definition(name or f"traced/{function.__name__}", text, inputs, params, axes or {}),
        inputs=inputs,
        reduction=reduction,
        mode=mode,
        client=client,
    )
    made.__doc__ = function.__doc__
    made.formula = text  # type: ignore[attr-defined]
    return made


def _arguments(function: Callable[..., Any]) -> Tuple[List[str], Dict[str, Any]]:
    inputs: List[str] = []
    params: Dict[str, Any] = {}
    for argument in inspect.signature(function).parameters.values():
        if argument.kind in (argument.VAR_POSITIONAL, argument.VAR_KEYWORD):
            raise TraceError(f"{function.__name__}: *{argument.name} has no name that a formula could use")
        if argument.default is argument.empty:
            inputs.append(argument.name)
        else:
            params[argument.name] = argument.default
    return inputs, params


def _trace(function: Callable[..., Any], inputs: List[str], params: Mapping[str, Any]) -> str:
    args = {name: Expression(name) for name in (*inputs, *params)}
    result = function(**args)
    if not isinstance(result, Expression):
        raise TraceError(f"{function.__name__}: returns {result!r}, which does not depend on its inputs")
    return result.text


def _definition(
    name: str, formula: str, inputs: List[str], params: Mapping[str, Any], axes: Mapping[str, str]
) -> Dict[str, Any]:
    declared = {n: {"differentiable": True, **({"axes": axes[n]} if n in axes else {})} for n in inputs}
    return {"inputs": declared, "params": {n: _param(n, v) for n, v in params.items()}, "formula": formula}


def _param(name: str, default: Any) -> Dict[str, Any]:
    if isinstance(default, bool):
        return {"type": "boolean", "default": default}
    if isinstance(default, (int, float)):
        return {"type": "number", "default": float(default)}
    raise TraceError(f"the parameter {name} has the default {default!r}, which is neither a number nor a truth value")
