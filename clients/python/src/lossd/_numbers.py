"""Numbers as the messages of the service spell them, which are those of JavaScript."""

from __future__ import annotations

import math
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
    digits, _, exponent = f"{value:.17e}".partition("e")
    shortest = repr(value)
    mantissa, _, power = shortest.partition("e")
    if not power:
        if abs(value) >= 1e-6 or value == 0:
            return mantissa[:-2] if mantissa.endswith(".0") else mantissa
    exponent_number = int(exponent)
    significant = _significant(shortest)
    sign = "-" if value < 0 else ""
    if exponent_number >= 21 or exponent_number < -6:
        point = significant[0] + ("." + significant[1:] if len(significant) > 1 else "")
        return f"{sign}{point}e{'+' if exponent_number > 0 else '-'}{abs(exponent_number)}"
    if exponent_number >= 0:
        whole = significant.ljust(exponent_number + 1, "0")
        rest = whole[exponent_number + 1 :]
        return f"{sign}{whole[: exponent_number + 1]}{'.' + rest if rest else ''}"
    return f"{sign}0.{'0' * (-exponent_number - 1)}{significant}"


def _significant(text: str) -> str:
    digits = text.lstrip("-").partition("e")[0].replace(".", "").lstrip("0").rstrip("0")
    return digits or "0"


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
