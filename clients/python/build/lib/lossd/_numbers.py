"""Numbers as the messages of the service spell them, which are those of JavaScript."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any

import numpy as np


def spelled(value: Any) -> str:
    """An element of an array: a float32 in its shortest form."""
    if isinstance(value, (np.floating, float)):
        return _float(_shortest(float(value)) if isinstance(value, np.float32) else float(value))
    return str(int(value))


def _shortest(value: float) -> float:
    if not math.isfinite(value):
        return value
    for digits in (6, 7, 8):
        candidate = float(f"{value:.{digits - 1}e}")
        if float(np.float32(candidate)) == value:
            return candidate
    return float(f"{value:.8e}")


def _float(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    if value == 0:
        return "0"
    shortest = Decimal(repr(abs(value)))
    digits = "".join(map(str, shortest.as_tuple().digits)).rstrip("0")
    exponent = shortest.adjusted()
    return ("-" if value < 0 else "") + _placed(digits, exponent)


def _placed(digits: str, exponent: int) -> str:
    """Digits with their point, or with an exponent where that is shorter."""
    if exponent >= 21 or exponent < -6:
        point = f"{digits[0]}.{digits[1:]}" if len(digits) > 1 else digits
        return f"{point}e{'+' if exponent > 0 else '-'}{abs(exponent)}"
    if exponent < 0:
        return f"0.{'0' * (-exponent - 1)}{digits}"
    whole = digits.ljust(exponent + 1, "0")
    rest = whole[exponent + 1 :]
    return f"{whole[: exponent + 1]}{'.' + rest if rest else ''}"


def json_text(value: Any) -> str:
    """A value as JSON, as a message repeats it."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, np.integer)):
        return str(int(value))
    if isinstance(value, (float, np.floating)):
        return _float(float(value)) if math.isfinite(float(value)) else "null"
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return "a list" if isinstance(value, (list, tuple)) else "an object"


def many(count: int, things: str) -> str:
    """``1 class``, ``2 elements``."""
    if count != 1:
        return f"{count} {things}"
    if things.endswith(("sses", "xes")):
        return f"1 {things[:-2]}"
    return f"1 {things[:-1]}" if things.endswith("s") and not things.endswith("ss") else f"1 {things}"
