"""Reference values for binary losses. Needs torch 2.15."""

import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from cases import case, exact, rng, write


def asymmetric():
    """The steps of timm 1.0.31 AsymmetricLossMultiLabel, which itself computes in float32 only."""

    def loss(predictions, targets, gamma_negative, gamma_positive, clip, epsilon):
        positive = torch.sigmoid(predictions)
        negative = (1 - positive + clip).clamp(max=1)
        logs = targets * torch.log(positive.clamp(min=epsilon)) + (1 - targets) * torch.log(negative.clamp(min=epsilon))
        certainty = targets * positive + (1 - targets) * negative
        gamma = targets * gamma_positive + (1 - targets) * gamma_negative
        return -logs * (1 - certainty) ** gamma

    source = "the steps of timm 1.0.31 AsymmetricLossMultiLabel in float64, torch 2.15.0 autograd"
    settings = [(4, 1, 0.05, 1e-8), (2, 0, 0, 1e-8), (1, 1, 0.2, 1e-8), (0, 0, 0.05, 1e-2)]
    cases = []
    for seed, (negative, positive, clip, epsilon) in enumerate(settings):
        random = rng(seed)
        inputs = {"predictions": exact(random.normal(0, 3, (5, 4))), "targets": exact(random.integers(0, 2, (5, 4)))}
        params = {"gamma_negative": negative, "gamma_positive": positive, "clip": clip, "epsilon": epsilon}
        cases.append(case("asymmetric", source, loss, inputs, params))
    return cases


def ordinal():
    """TensorFlow Ranking's OrdinalLoss: sigmoid cross-entropy with 1 for every threshold that the label reaches."""

    def loss(predictions, targets):
        reached = (targets[:, None] > torch.arange(predictions.shape[1])).double()
        return binary_cross_entropy_with_logits(predictions, reached, reduction="none").sum(1)

    source = "definition (tensorflow_ranking OrdinalLoss), torch 2.15.0 binary_cross_entropy_with_logits"
    cases = []
    for rows, thresholds in [(6, 4), (4, 1), (5, 9)]:
        random = rng(thresholds)
        inputs = {
            "predictions": exact(random.normal(0, 2, (rows, thresholds))),
            "targets": random.integers(0, thresholds + 1, rows),
        }
        cases.append(case("ordinal", source, loss, inputs))
    return cases


for reference in [asymmetric, ordinal]:
    write(reference.__name__, reference())
