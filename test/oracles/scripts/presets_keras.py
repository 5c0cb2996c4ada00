"""
What Keras' losses answer with their defaults, in float64 on its torch backend. Needs keras 3.15. A function answers one
number a row; the preset answers their mean, as the class does.
"""

import os

os.environ["KERAS_BACKEND"] = "torch"

import keras
import numpy as np
import torch

import presets as p

keras.config.set_floatx("float64")
SOURCE = f"keras {keras.__version__} on torch {torch.__version__.split('+')[0]}, autograd"

"""What a function has no default for, as its class has it."""
REQUIRED = {"categorical_generalized_cross_entropy": {"q": 0.5}}


def run(function, module, loss, cases, read=lambda predictions, targets: (targets, predictions)):
    """A function and its class; only the class takes weights."""
    made = []
    for identity, inputs in cases.items():
        weight = inputs.get("sample_weight")
        names = [f"keras.losses.{module}"] if weight is not None else [f"keras.losses.{function}", f"keras.losses.{module}"]
        for name in names:
            tensors = {key: torch.tensor(value) for key, value in inputs.items() if key != "sample_weight"}
            wants = [key for key in p.differentiable(loss) if tensors[key].is_floating_point()]
            for key in wants:
                tensors[key].requires_grad_(True)
            call = getattr(keras.losses, name.split(".")[-1])
            truth, given = read(**tensors)
            value = call()(truth, given, sample_weight=weight) if isinstance(call, type) else call(truth, given, **REQUIRED.get(function, {}))
            slopes = torch.autograd.grad(value.sum(), [tensors[key] for key in wants], allow_unused=True)
            gradients = {key: slope.numpy() for key, slope in zip(wants, slopes) if slope is not None}
            made.append(p.case(loss, name, identity, SOURCE, inputs, value.detach().numpy(), gradients))
    return made


def one_hot(cases):
    """Those cases that Keras takes with one-hot targets, which are class indices here."""
    read = lambda predictions, targets: (torch.nn.functional.one_hot(targets, predictions.shape[-1]).double(), predictions)
    return cases, read


RATES = p.pairs(plain=(p.unit(90, 4, 3) * 4, p.exact(p.classes(91, 5, 4, 3))), zero=(p.array([[0.0, 1]]), p.array([[2.0, 0]])))
SHARES = p.pairs(plain=(p.real(92, 4, 3), p.real(93, 4, 3)), zero=(p.array([[1.0, 3]]), p.array([[0, 1e-9]])))
COUNTS = p.pairs(plain=(p.unit(94, 4, 3) * 20, p.unit(95, 4, 3) * 20), zero=(p.array([[0, 1e-9, 3]]), p.array([[0, 4, 0.0]])))
CERTAIN = (p.array([[0, 1, 0], [0, 1, 0], [0.2, 0.2, 0.2]]), p.array([0, 1, 2], int))
MIXED = p.pairs(plain=(p.simplex(96, 4, 3), p.simplex(97, 4, 3)), sure=(CERTAIN[0], np.eye(3)[CERTAIN[1]]))
CHOSEN = p.pairs(plain=(p.simplex(98, 4, 3), p.classes(99, 3, 4)), sure=CERTAIN)
ZEROS_AND_ONES = p.pairs(zeros=(p.real(100, 4, 3), p.bits(101, 4, 3)))
LABELLED = {
    "plain": p.named("predictions targets", p.real(102, 3, 6, 4), p.array([[1, 2, 2], [3, 1, 0], [2, 0, 0]], int)),
    "impossible": p.named("predictions targets", p.real(103, 1, 2, 4), p.array([[1, 1]], int)),
}


def lengths(case):
    """Keras counts the labels that are not 0, and takes every step."""
    rows, steps, _ = case["predictions"].shape
    return {**case, "input_lengths": np.full(rows, steps), "target_lengths": (case["targets"] != 0).sum(1)}


def cases():
    reals = p.weighted({**p.REALS, **p.FAR, **p.EQUAL})
    scores = p.weighted({**p.SCORES, **p.AT_MARGIN, **ZEROS_AND_ONES})
    probabilities = p.weighted(p.PROBABILITIES)
    rows = {"unit": p.unit_rows(p.ROWS), "long": p.ROWS}
    rows["single"] = p.unit_rows({"embeddings": p.real(104, 4, 3), "labels": p.array([0, 0, 0, 1], int)})
    sequences = {key: lengths(one) for key, one in LABELLED.items()}
    regions = p.SHARED_REGIONS
    embedded = lambda embeddings, labels: (labels, embeddings)
    written = lambda predictions, targets, **lengths: (targets, predictions)
    hinged = p.weighted({**p.INDICES, **p.TIED})
    return [
        *run("mean_squared_error", "MeanSquaredError", "mse", reals),
        *run("mean_absolute_error", "MeanAbsoluteError", "l1", reals),
        *run("huber", "Huber", "huber", reals),
        *run("log_cosh", "LogCosh", "log_cosh", reals),
        *run("mean_absolute_percentage_error", "MeanAbsolutePercentageError", "mape", p.weighted({**SHARES, **p.EQUAL})),
        *run("mean_squared_logarithmic_error", "MeanSquaredLogarithmicError", "msle", p.weighted(COUNTS)),
        *run("poisson", "Poisson", "poisson_nll", p.weighted(RATES)),
        *run("binary_crossentropy", "BinaryCrossentropy", "binary_cross_entropy", probabilities),
        *run("binary_focal_crossentropy", "BinaryFocalCrossentropy", "binary_focal", probabilities),
        *run("hinge", "Hinge", "hinge", scores),
        *run("squared_hinge", "SquaredHinge", "squared_hinge", scores),
        *run("categorical_hinge", "CategoricalHinge", "categorical_hinge", *one_hot(hinged)),
        *run("categorical_crossentropy", "CategoricalCrossentropy", "cross_entropy_from_probs", p.weighted(MIXED)),
        *run("sparse_categorical_crossentropy", "SparseCategoricalCrossentropy", "cross_entropy_from_probs", p.weighted(CHOSEN)),
        *run("categorical_generalized_cross_entropy", "CategoricalGeneralizedCrossEntropy", "generalized_cross_entropy", p.weighted(CHOSEN)),
        *run("cosine_similarity", "CosineSimilarity", "cosine_similarity", p.weighted(p.VECTORS)),
        *run("circle", "Circle", "circle", rows, embedded),
        *run("dice", "Dice", "dice", regions),
        *run("tversky", "Tversky", "tversky", regions),
        *run("ctc", "CTC", "ctc", sequences, written),
    ]


if __name__ == "__main__":
    p.write("keras", cases())
