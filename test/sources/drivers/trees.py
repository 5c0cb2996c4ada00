"""Grows trees with an objective that was written, and with the library's own one, and prints where they differ."""

import importlib
import json
import sys
from functools import partial

import numpy as np

# Later, the rounding of a sum decides between splits that are equally good.
ROUNDS = 10


def drawn():
    """Features, and labels of each kind; weights with zeros."""
    rng = np.random.default_rng(0)
    inputs = rng.uniform(-3, 3, size=(800, 3))
    rate = np.exp(0.4 * inputs[:, 0] - 0.2 * inputs[:, 1])
    labels = {
        "real": np.sin(inputs[:, 0]) + 0.5 * inputs[:, 1] + rng.normal(scale=0.3, size=800),
        "binary": (inputs[:, 0] + inputs[:, 1] + rng.logistic(size=800) > 0).astype(float),
        "count": rng.poisson(rate).astype(float),
        "positive": rng.gamma(2, rate / 2) + 1e-3,
        "class": rng.integers(0, 3, size=800) * (inputs[:, 0] > -1).astype(int),
    }
    return inputs, labels, rng.integers(0, 4, size=800) / 2


def with_factor(objective, factor):
    """The library's own second derivatives are larger by a factor."""

    def scaled(preds, data):
        gradient, hessian = objective(preds, data)
        return gradient, factor * hessian

    return scaled


def splits(tree):
    """Trees as the features and thresholds of their splits."""
    if isinstance(tree, list):
        return [splits(one) for one in tree]
    children = tree.get("children") or [tree[side] for side in ("left_child", "right_child") if side in tree]
    feature, threshold = tree.get("split", tree.get("split_feature")), tree.get("split_condition", tree.get("threshold"))
    return [feature, threshold, splits(children)]


def with_xgboost(case, objective, metric, inputs, label, weight):
    import xgboost as xgb

    data = xgb.DMatrix(inputs, label, weight=weight)
    settings = {"max_depth": 4, "eta": 0.3, "base_score": 0, "seed": 0, **case["settings"]}
    plain = {**settings, "disable_default_eval_metric": 1}
    if case["objective"].startswith("multi"):
        settings["num_class"] = plain["num_class"] = 3
    told, own_told = {}, {}
    watched = {"evals": [(data, "train")], "verbose_eval": False}
    own_settings = {**settings, "objective": case["objective"], "eval_metric": case["metric"], **case["own"]}
    own = xgb.train(own_settings, data, ROUNDS, evals_result=own_told, **watched)
    ours = xgb.train(plain, data, ROUNDS, obj=objective, custom_metric=metric, evals_result=told, **watched)
    dumps = [[json.loads(tree) for tree in booster.get_dump(dump_format="json")] for booster in (own, ours)]
    margins = [booster.predict(data, output_margin=True) for booster in (own, ours)]
    return [splits(dump) for dump in dumps], margins, [list(own_told["train"].values())[0], list(told["train"].values())[0]]


def with_lightgbm(case, objective, metric, inputs, label, weight):
    import lightgbm as lgb

    common = {"num_leaves": 15, "verbosity": -1, "seed": 0, "deterministic": True, "boost_from_average": False}
    settings = {**common, "num_threads": 1, **case["settings"]}
    if case["objective"].startswith("multi"):
        settings["num_class"] = 3

    def grown(settings, **more):
        told = {}
        data = lgb.Dataset(inputs, label, weight=weight, free_raw_data=False)
        recorded = [lgb.record_evaluation(told)]
        booster = lgb.train(settings, data, ROUNDS, valid_sets=[data], callbacks=recorded, **more)
        return booster, list(list(told.values())[0].values())[0]

    own, own_told = grown({**settings, "objective": case["objective"], "metric": case["metric"], **case["own"]})
    ours, told = grown({**settings, "objective": objective, "metric": "None"}, feval=metric)
    dumps = [[tree["tree_structure"] for tree in booster.dump_model()["tree_info"]] for booster in (own, ours)]
    return [splits(dump) for dump in dumps], [booster.predict(inputs, raw_score=True) for booster in (own, ours)], [own_told, told]


def differences(case, inputs, labels, weights):
    module = importlib.import_module(case["module"])
    objective = with_factor(
        partial(getattr(module, case["loss"]), hessian_floor=case["floor"]), case["factor"]
    )
    metric = getattr(module, case["loss"] + "_metric")
    label, weight = labels[case["label"]], weights if case["weighted"] else None
    grow = with_xgboost if case["library"] == "xgboost" else with_lightgbm
    shapes, margins, told = grow(case, objective, metric, inputs, label, weight)
    if shapes[0] != shapes[1]:
        yield "the splits differ"
    # Leaves are float32; of a score, all of them are added up.
    if not np.allclose(*margins, rtol=1e-4, atol=1e-4):
        yield f"scores differ by {np.abs(np.subtract(*margins)).max()}"
    if case["told"] and not np.allclose(*told, rtol=1e-4, atol=1e-6):
        yield f"metrics differ: {told[0][-1]}, {told[1][-1]}"


def main():
    folder = sys.argv[1]
    sys.path.insert(0, folder)
    inputs, labels, weights = drawn()
    cases = json.load(open(folder + "/cases.json"))
    print(json.dumps([list(differences(case, inputs, labels, weights)) for case in cases]))


main()
