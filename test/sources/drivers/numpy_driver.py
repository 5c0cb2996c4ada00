"""NumPy: a function returns its loss and the gradients in the order of the inputs, and takes none from outside."""

import numpy as np
from common import Call, main


def call(function, one):
    return function(*one.inputs.values(), **one.params, reduction=one.reduction)


def check(function, one, job):
    """Whole numbers are the same numbers, whatever the array keeps them in."""
    reals = [name for name, array in one.inputs.items() if array.dtype == "float64"]
    if len(reals) == 0:
        return []
    answers = []
    # Integers have no -0.
    for dtype in ("float64", "int64"):
        whole = {name: (np.round(one.inputs[name]) + 0.0).astype(dtype) for name in reals}
        case = {"gradients": one.wanted}
        loss, gradients = call(function, Call(case, "mean", {**one.inputs, **whole}, one.params))
        answers.append([loss, *gradients])
    is_same = all(np.array_equal(a, b, equal_nan=True) for a, b in zip(*answers, strict=True))
    return [] if is_same else ["integers have another loss or gradient than floats"]


main(call, check, weighted=False)
