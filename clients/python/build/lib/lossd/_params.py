"""Parameters, checked against the schemas that a kernel carries, in the words of the service."""

from __future__ import annotations

import math
from typing import Any, Dict, List, Mapping

import numpy as np

from ._numbers import json_text
from .errors import Place, problem, problem_at

_NOUNS = {
    "number": "a number",
    "integer": "an integer",
    "boolean": "true or false",
    "string": "a string",
    "null": "null",
    "array": "a list of names",
}
_BOUNDS = (
    ("exclusiveMinimum", ">", lambda x, bound: x > bound),
    ("minimum", ">=", lambda x, bound: x >= bound),
    ("exclusiveMaximum", "<", lambda x, bound: x < bound),
    ("maximum", "<=", lambda x, bound: x <= bound),
)


def is_runtime(schema: Mapping[str, Any], value: Any) -> bool:
    """Whether a kernel takes the parameter at run time. All others determine its code."""
    if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)):
        return False
    parts = schema.get("anyOf", [schema])
    return not any(part.get("type") == "integer" or part.get("structural") for part in parts)


def check(schemas: Mapping[str, Any], given: Mapping[str, Any]) -> None:
    """:raises InvalidRequest: for a value that is out of range"""
    wrong = [
        Place(f"/params/{name}", f"must be {describe(schemas[name])}, got {json_text(value)}")
        for name, value in given.items()
        if name in schemas and not _fits(schemas[name], value)
    ]
    if wrong:
        raise problem("param-invalid", f"{wrong[0].pointer}: {wrong[0].detail}", places=wrong)


def check_float32(params: Mapping[str, float]) -> None:
    """:raises InvalidRequest: for a number that would be another one in float32"""
    for name, value in params.items():
        with np.errstate(over="ignore", under="ignore"):
            narrow = float(np.float32(value))
        is_held = math.isfinite(narrow) or not math.isfinite(value)
        if not is_held or (narrow == 0 and value != 0):
            detail = f"must fit into float32, got {json_text(float(value))}; or send float64 inputs"
            raise problem_at("param-invalid", f"/params/{name}", detail)


def describe(schema: Mapping[str, Any]) -> str:
    """``a number > 0``."""
    if "anyOf" in schema:
        words: List[str] = [describe(part) for part in schema["anyOf"]]
        return words[-1] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"
    if "const" in schema:
        return json_text(schema["const"])
    bounds = [f"{sign} {json_text(schema[key])}" for key, sign, _ in _BOUNDS if key in schema]
    return " ".join([_NOUNS.get(schema.get("type", ""), "a valid value"), *([" and ".join(bounds)] if bounds else [])])


def _fits(schema: Mapping[str, Any], value: Any) -> bool:
    if "anyOf" in schema:
        return any(_fits(part, value) for part in schema["anyOf"])
    if "const" in schema:
        return bool(schema["const"] == value) and isinstance(value, bool) == isinstance(schema["const"], bool)
    kind = schema.get("type")
    is_number = isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
    if kind == "null":
        return value is None
    if kind == "boolean":
        return isinstance(value, bool)
    if kind == "string":
        return isinstance(value, str)
    if kind == "array":
        return isinstance(value, (list, tuple))
    if kind == "integer" and not (is_number and float(value).is_integer()):
        return False
    if kind == "number" and not is_number:
        return False
    if is_number and not math.isfinite(value):
        return bool(schema.get("infinite")) and not math.isnan(value)
    return all(holds(value, schema[key]) for key, _, holds in _BOUNDS if key in schema)


def resolved(schemas: Mapping[str, Any], given: Mapping[str, Any]) -> Dict[str, Any]:
    """The given values, and the defaults of all others."""
    return {name: given.get(name, schema.get("default")) for name, schema in schemas.items()}
