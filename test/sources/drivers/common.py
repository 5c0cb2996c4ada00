"""Runs the functions of a folder on the cases of its jobs.json, and prints what came out as JSON."""

import importlib
import inspect
import json
import sys

import numpy as np


def numbers(text):
    return np.frombuffer(bytes.fromhex(text), dtype=">f8").astype("float64")


def digits(array):
    return np.ascontiguousarray(array, dtype=">f8").tobytes().hex()


def read(entry, precision):
    data = numbers(entry["data"]).reshape(entry["shape"])
    return data.astype("int32" if entry["isWhole"] else precision)


class Call:
    """How a case calls a function: its inputs and parameters, the inputs whose gradients it wants, and the reduction."""

    def __init__(self, case, reduction, inputs, params):
        self.inputs, self.params, self.wanted = inputs, params, case["gradients"]
        # A training loop weights the unreduced losses itself.
        self.reduction = "none" if reduction == "weighted" else reduction
        self.weights = numbers(case["weights"]) if reduction == "weighted" else None

    def factors(self, rank):
        """The gradient of what comes after a loss of this rank, to be broadcast."""
        return np.ones([1] * rank) if self.weights is None else self.weights.reshape(-1, *[1] * (rank - 1))

    def upstream(self, loss):
        """The same, as an array."""
        return np.broadcast_to(self.factors(len(loss.shape)), tuple(loss.shape)).copy()


def main(call, check=None, weighted=True):
    """
    call(function, Call) -> loss, list of gradients in the order of the wanted ones
    check(function, Call, job) -> sentences about what is wrong, on ordinary inputs
    """
    folder, precision = sys.argv[1:3]
    sys.path.insert(0, folder)
    answers = []
    for job in json.load(open(folder + "/jobs.json")):
        function = getattr(importlib.import_module(job["id"]), job["name"])
        known = inspect.signature(function).parameters
        params = {name: value for name, value in job["params"].items() if name in known}
        cases = []
        for case in job["cases"]:
            given = {entry["name"]: read(entry, precision) for entry in case["inputs"]}
            inputs = {name: array for name, array in given.items() if name in known or name + "_" in known}
            found, problems = {}, []
            for reduction in ["none", *case["reductions"]]:
                if reduction == "weighted" and not weighted:
                    continue
                one = Call(case, reduction, inputs, params)
                try:
                    loss, gradients = call(function, one)
                except Exception as error:  # noqa: BLE001
                    problems.append(f"{reduction}: {type(error).__name__}: {error}")
                    found[reduction] = {"loss": "", "gradients": {}}
                    continue
                dtypes = {str(np.asarray(result).dtype) for result in (loss, *gradients)}
                if dtypes != {precision}:
                    problems.append(f"{reduction} is computed in {dtypes}")
                total = np.asarray(loss) if reduction == "none" else np.sum(np.asarray(loss) * one.upstream(loss))
                found[reduction] = {
                    "loss": digits(total),
                    "gradients": dict(zip(case["gradients"], map(digits, gradients), strict=True)),
                }
            isChecked = check is not None and case["label"] == "ordinary"
            problems += check(function, Call(case, "none", inputs, params), job) if isChecked else []
            cases.append({"found": found, "problems": problems})
        answers.append(cases)
    print("\nANSWERS" + json.dumps(answers))
