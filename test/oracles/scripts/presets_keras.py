"""
The results of Keras' losses with their defaults, in float64 on the torch backend. Needs keras 3.15. A function returns one
number per row. The preset corresponds to their mean, which the class returns.
"""

import os

os.environ["KERAS_BACKEND"] = "torch"

import keras
import numpy as np
import torch

import presets as p

keras.config.set_floatx("float64")
SOURCE = f"keras {keras.__version__} on torch {torch.__version__.split('+')[0]}, autograd"

"""Arguments without a default in the function, with the default of the class."""
REQUIRED = {"categorical_generalized_cross_entropy": {"q": 0.5}}


def run(function, module, loss, cases, read=lambda predictions, targets: (targets, predictions)):
    """A class, and its function if given. Only the class accepts weights."""
    made = []
    for identity, inputs in cases.items():
        weight = inputs.get("sample_weight")
        if weight is None and function is not None:
            call = getattr(keras.losses, function)
            answer = lambda truth, given: call(truth, given, **REQUIRED.get(function, {})).mean()
            made.append(differentiated(f"keras.losses.{function}", loss, identity, inputs, answer, read))
        made.append(differentiated(f"keras.losses.{module}", loss, identity, inputs, answer_of(getattr(keras.losses, module)(), weight), read))
    return made


def from_logits(module, loss, cases, params=None, **arguments):
    """A class with from_logits, which is a different loss here: it has the preset, but no name."""
    return configured(module, loss, loss, cases, {"preset": "keras", "params": params or {}}, from_logits=True, **arguments)


def configured(module, name, loss, cases, options, read=lambda predictions, targets: (targets, predictions), **arguments):
    """A class with arguments. The options are the equivalent in a request."""
    words = "-".join([module, *(f"{key}={value}" for key, value in arguments.items())])
    return [
        differentiated(name, loss, f"{identity}-{words}", inputs, answer_of(getattr(keras.losses, module)(**arguments), inputs.get("sample_weight")), read, **options)
        for identity, inputs in cases.items()
    ]


def answer_of(made, weight):
    return lambda truth, given: made(truth, given, sample_weight=weight).mean()


def differentiated(name, loss, identity, inputs, answer, read, **options):
    """One case: the value, and the gradients with respect to our inputs."""
    tensors = {key: torch.tensor(value) for key, value in inputs.items() if key != "sample_weight"}
    wants = [key for key in p.differentiable(loss) if tensors[key].is_floating_point()]
    for key in wants:
        tensors[key].requires_grad_(True)
    value = answer(*read(**tensors))
    slopes = torch.autograd.grad(value, [tensors[key] for key in wants], allow_unused=True)
    gradients = {key: slope.numpy() for key, slope in zip(wants, slopes) if slope is not None}
    return p.case(loss, name, identity, SOURCE, inputs, value.detach().numpy(), gradients, **options)


def one_hot(cases):
    """Cases with one-hot targets in Keras, which are class indices here."""
    read = lambda predictions, targets: (torch.nn.functional.one_hot(targets, predictions.shape[-1]).double(), predictions)
    return cases, read


RATES = p.pairs(plain=(p.unit(90, 4, 3) * 4, p.exact(p.classes(91, 5, 4, 3))), zero=(p.array([[0.0, 1]]), p.array([[2.0, 0]])))
SHARES = p.pairs(plain=(p.real(92, 4, 3), p.real(93, 4, 3)), zero=(p.array([[1.0, 3]]), p.array([[0, 1e-9]])))
COUNTS = p.pairs(plain=(p.unit(94, 4, 3) * 20, p.unit(95, 4, 3) * 20), zero=(p.array([[0, 1e-9, 3]]), p.array([[0, 4, 0.0]])))
CERTAIN = (p.array([[0, 1, 0], [0, 1, 0], [0.2, 0.2, 0.2]]), p.array([0, 1, 2], int))
STEEP = np.exp(p.INDICES["steep"]["predictions"])
STEEP /= STEEP.sum(1, keepdims=True)
UNEVEN = p.unit(105, 4, 3)
MIXED = p.pairs(plain=(p.simplex(96, 4, 3), p.simplex(97, 4, 3)), steep=(STEEP, p.simplex(106, 6, 3)), uneven=(UNEVEN, p.simplex(107, 4, 3)), sure=(CERTAIN[0], np.eye(3)[CERTAIN[1]]))
CHOSEN = p.pairs(plain=(p.simplex(98, 4, 3), p.classes(99, 3, 4)), steep=(STEEP, p.classes(108, 3, 6)), uneven=(UNEVEN, p.classes(109, 3, 4)), sure=CERTAIN)
ZEROS_AND_ONES = p.pairs(zeros=(p.real(100, 4, 3), p.bits(101, 4, 3)))
LABELLED = {
    "plain": p.named("predictions targets", p.real(102, 3, 6, 4), p.array([[1, 2, 2], [3, 1, 0], [2, 0, 0]], int)),
    "impossible": p.named("predictions targets", p.real(103, 1, 2, 4), p.array([[1, 1]], int)),
}


def lengths(case):
    """Keras takes the number of nonzero labels as their length, and uses every time step."""
    rows, steps, _ = case["predictions"].shape
    return {**case, "input_lengths": np.full(rows, steps), "target_lengths": (case["targets"] != 0).sum(1)}


def cases():
    reals = p.weighted({**p.REALS, **p.FAR, **p.EQUAL})
    scores = p.weighted({**p.SCORES, **p.AT_MARGIN, **ZEROS_AND_ONES})
    probabilities = p.weighted(p.PROBABILITIES)
    rows = {"unit": p.unit_rows(p.SCATTERED), "gathered": p.unit_rows(p.GATHERED), "long": p.SCATTERED}
    sequences = {key: lengths(one) for key, one in LABELLED.items()}
    regions = p.SHARED_REGIONS
    embedded = lambda embeddings, labels: (labels, embeddings)
    powers = lambda predictions, targets: (targets, predictions.exp())
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
        *run("kl_divergence", "KLDivergence", "kl_div", p.weighted(p.LOGPROBS), powers),
        *run("categorical_focal_crossentropy", "CategoricalFocalCrossentropy", "softmax_focal", p.SHARES, powers),
        *from_logits("CategoricalFocalCrossentropy", "softmax_focal", p.weighted(p.SHARES, "shares")),
        *from_logits("CategoricalCrossentropy", "cross_entropy", p.weighted(p.SHARES, "shares")),
        *from_logits("SparseCategoricalCrossentropy", "cross_entropy", p.weighted(p.INDICES)),
        *from_logits("BinaryCrossentropy", "binary_cross_entropy_with_logits", p.weighted(p.LOGITS)),
        *from_logits("BinaryFocalCrossentropy", "sigmoid_focal", p.weighted(p.LOGITS)),
        *run("circle", "Circle", "circle", rows, embedded),
        *run(None, "Circle", "circle", {"single": p.unit_rows(p.ROWS)}, embedded),
        *with_arguments(),
        *run("dice", "Dice", "dice", regions),
        *run("tversky", "Tversky", "tversky", regions),
        *run("ctc", "CTC", "ctc", sequences, written),
    ]


def with_arguments():
    """Arguments that interact with settings of the preset."""
    named = lambda module, loss, cases, params, **arguments: configured(module, f"keras.losses.{module}", loss, cases, {"params": params}, **arguments)
    probabilities, logits = p.PROBABILITIES, p.LOGITS
    balanced = {"apply_class_balancing": True, "alpha": 0.3, "gamma": 3.0}
    return [
        *named("BinaryCrossentropy", "binary_cross_entropy", probabilities, {"label_smoothing": 0.125}, label_smoothing=0.125),
        *named("CategoricalCrossentropy", "cross_entropy_from_probs", MIXED, {"label_smoothing": 0.125}, label_smoothing=0.125),
        *named("BinaryFocalCrossentropy", "binary_focal", probabilities, {"alpha": 0.3, "gamma": 3}, **balanced),
        *named("BinaryFocalCrossentropy", "binary_focal", {"plain": probabilities["plain"]}, {"gamma": 0.5}, gamma=0.5),
        *from_logits("BinaryFocalCrossentropy", "sigmoid_focal", logits, {"alpha": 0.3, "gamma": 3}, **balanced),
        *from_logits("CategoricalFocalCrossentropy", "softmax_focal", p.SHARES, {"gamma": 0.5}, gamma=0.5),
        *from_logits("CategoricalCrossentropy", "cross_entropy", p.SHARES, {"label_smoothing": 0.125}, label_smoothing=0.125),
    ]


if __name__ == "__main__":
    p.write("keras", cases())
