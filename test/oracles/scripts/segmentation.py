"""Reference values for segmentation losses. Needs torch 2.15 and MONAI 1.6."""

import torch
from monai.losses import GeneralizedDiceLoss, TverskyLoss

from cases import case, exact, rng, write

ACTIVATIONS = {"sigmoid": torch.sigmoid, "softmax": lambda x: torch.softmax(x, 1), "none": lambda x: x}


def images(seed, shape, empty=False):
    random = rng(seed)
    targets = random.integers(0, 2, shape)
    if empty:
        targets[0, 0] = 0
    return {"predictions": exact(random.normal(0, 1.5, shape)), "targets": exact(targets)}


def generalized_dice():
    """MONAI rounds its weights to float32. For sizes that are powers of 2, they are exact."""

    def loss(predictions, targets, activation, smooth):
        overlap = GeneralizedDiceLoss(reduction="none", smooth_nr=smooth, smooth_dr=smooth)
        return overlap(ACTIVATIONS[activation](predictions), targets).reshape(len(targets))

    def of_powers(seed, shape, empty):
        inputs = images(seed, shape)
        flat = inputs["targets"].reshape(*shape[:2], -1)
        flat[:] = 0
        for row in range(shape[0]):
            for channel in range(shape[1]):
                flat[row, channel, : 2 ** ((row + channel) % 4)] = 1
        if empty:
            flat[0, 0] = 0
        return inputs

    source = "MONAI 1.6.1 GeneralizedDiceLoss"
    settings = [("softmax", 1, False), ("softmax", 0.25, True), ("sigmoid", 1, True)]
    return [
        case("generalized_dice", source, loss, of_powers(seed, (3, 4, 3, 3), empty), {"activation": activation, "smooth": smooth})
        for seed, (activation, smooth, empty) in enumerate(settings)
    ]


def focal_tversky():
    def loss(predictions, targets, activation, alpha, beta, gamma, smooth):
        score = TverskyLoss(reduction="none", alpha=alpha, beta=beta, smooth_nr=smooth, smooth_dr=smooth)
        return score(ACTIVATIONS[activation](predictions), targets) ** gamma

    source = "MONAI 1.6.1 TverskyLoss to the power gamma"
    settings = [
        {"activation": "sigmoid", "alpha": 0.5, "beta": 0.5, "gamma": 1, "smooth": 1},
        {"activation": "sigmoid", "alpha": 0.3, "beta": 0.7, "gamma": 0.75, "smooth": 1},
        {"activation": "softmax", "alpha": 0.7, "beta": 0.3, "gamma": 2, "smooth": 0.5},
    ]
    return [
        case("focal_tversky", source, loss, images(seed, (3, 2, 4, 3), empty=True), params)
        for seed, params in enumerate(settings)
    ]


for reference in [generalized_dice, focal_tversky]:
    write(reference.__name__, reference())
