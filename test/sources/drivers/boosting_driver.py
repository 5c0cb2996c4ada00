"""XGBoost and LightGBM: what an objective and its metric return for scores and data of a case."""

import importlib
import inspect
import json
import sys

from common import digits, numbers


class Data:
    """The part of a DMatrix and of a Dataset that objectives read."""

    def __init__(self, label, weight):
        self.label, self.weight = label, weight

    def get_label(self):
        return self.label

    def get_weight(self):
        return self.weight


def array(entry):
    return numbers(entry["data"]).reshape(entry["shape"])


def evaluated(module, job, case, weight):
    objective, metric = (getattr(module, job["name"] + suffix) for suffix in ("", "_metric"))
    known = inspect.signature(objective).parameters
    shared = {entry["name"]: array(entry) for entry in case["shared"]}
    given = {**shared, **{name: value for name, value in job["params"].items() if name in known}}
    data = Data(array(case["label"]) if case["label"] else None, weight)
    scores = array(case["scores"])
    if weight is not None:
        scores[weight == 0] = float("nan")
    gradient, hessian = objective(scores, data, **given, hessian_floor=case["floor"])
    assert gradient.shape == hessian.shape == scores.shape, (gradient.shape, hessian.shape, scores.shape)
    mean = metric(scores, data, **given)[1]
    return {"gradient": digits(gradient), "hessian": digits(hessian), "mean": mean}


def main():
    folder = sys.argv[1]
    sys.path.insert(0, folder)
    answers = []
    for job in json.load(open(folder + "/jobs.json")):
        module = importlib.import_module(job["id"])
        weights = [None if case["weight"] is None else numbers(case["weight"]) for case in job["cases"]]
        answers.append([
            evaluated(module, job, case, weight)
            for case, weight in zip(job["cases"], weights, strict=True)
        ])
    print(json.dumps(answers))


main()
