"""Reference values for regression losses. Needs torch 2.15 and scikit-learn 1.9."""

import torch
from sklearn._loss.loss import HalfGammaLoss, HalfTweedieLoss

from cases import case, exact, from_numbers, inputs_of, rng, write


def pair(seed, shape=(5, 4)):
    random = rng(seed)
    return {"predictions": exact(random.normal(0, 1.5, shape)), "targets": exact(random.normal(0, 1.5, shape))}


def msle():
    """Keras' steps; its own ops round to float32 on the way."""

    def loss(predictions, targets):
        first, second = (torch.log(torch.clamp(x, min=1e-7) + 1) for x in (predictions, targets))
        return (first - second) ** 2

    source = "the steps of keras 3.15.1 mean_squared_logarithmic_error in float64, torch 2.15.0 autograd"
    return [case("msle", source, loss, inputs) for inputs in inputs_of("msle")]


def expectile():
    def loss(predictions, targets, tau):
        over = (predictions > targets).double()
        return (tau - over).abs() * (predictions - targets) ** 2

    source = "definition (Newey and Powell 1987), torch 2.15.0 autograd"
    return [
        case("expectile", source, loss, pair(seed), {"tau": tau}, ("predictions", "targets"))
        for seed, tau in enumerate([0.1, 0.5, 0.9])
    ]


def sklearn_case(name, source, loss, predictions, targets, params=None):
    """scikit-learn's losses accept flat arrays and return unreduced values and gradients."""
    value, slope = loss.loss_gradient(targets.reshape(-1), predictions.reshape(-1))
    shape = predictions.shape
    gradients = {"predictions": slope.reshape(shape) / slope.size}
    return from_numbers(name, source, value.reshape(shape), gradients, {"predictions": predictions, "targets": targets}, params)


def gamma_nll():
    source = "scikit-learn 1.9.1 HalfGammaLoss"
    random = rng(1)
    shapes = [(6,), (5, 4), (2, 3, 4)]
    draws = [(exact(random.normal(0, 1.5, shape)), exact(random.gamma(2, 2, shape) + 0.01)) for shape in shapes]
    return [sklearn_case("gamma_nll", source, HalfGammaLoss(), x, y) for x, y in draws]


def tweedie():
    source = "scikit-learn 1.9.1 HalfTweedieLoss"
    random = rng(2)
    cases = []
    for power in [1, 1.1, 1.5, 1.9, 2, 3]:
        x = exact(random.normal(0, 1.5, (5, 4)))
        y = exact(random.gamma(2, 2, (5, 4)) * (random.random((5, 4)) < (0.6 if power < 2 else 1)) + (power >= 2) * 0.01)
        cases.append(sklearn_case("tweedie", source, HalfTweedieLoss(power=power), x, y, {"power": power}))
    return cases


def barron_robust():
    """Equations 8 and 9 of the paper, its limits included."""

    def loss(predictions, targets, alpha, scale):
        s = ((predictions - targets) / scale) ** 2
        if alpha == 2:
            return s / 2
        if alpha == 0:
            return torch.log(s / 2 + 1)
        if alpha < -1e16:
            return 1 - torch.exp(-s / 2)
        b = abs(alpha - 2)
        return b / alpha * ((s / b + 1) ** (alpha / 2) - 1)

    source = "definition (Barron 2019, equations 8 and 9), torch 2.15.0 autograd"
    alphas = [(2, 1), (1.5, 1), (1, 0.5), (0.5, 2), (0, 1), (-0.5, 1), (-2, 1.5), (-10, 1), (-1e30, 2), (3, 1)]
    return [
        case("barron_robust", source, loss, pair(10 + seed), {"alpha": alpha, "scale": scale}, ("predictions", "targets"))
        for seed, (alpha, scale) in enumerate(alphas)
    ]


for reference in [msle, expectile, gamma_nll, tweedie, barron_robust]:
    write(reference.__name__, reference())
