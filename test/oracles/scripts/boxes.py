"""Reference values for detection losses. Needs torch 2.15 and torchvision 0.29."""

import numpy as np
import torch
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy
from torchvision.ops import complete_box_iou_loss, distance_box_iou_loss, generalized_box_iou_loss
from torchvision.ops._utils import _loss_inter_union

from cases import case, exact, inputs_of, rng
from keep import add

BOTH = ("predictions", "targets")


def boxes(seed, rows=7):
    random = rng(seed)

    def drawn():
        corner = random.uniform(0, 4, (rows, 2))
        return exact(np.hstack([corner, corner + random.uniform(0.2, 6, (rows, 2))]))

    return {"predictions": drawn(), "targets": drawn()}


def iou():
    def loss(predictions, targets):
        overlap, union = _loss_inter_union(predictions, targets)
        return 1 - overlap / (union + 1e-7)

    source = "the IoU inside torchvision 0.29.2 distance_box_iou_loss"
    return [case("iou", source, loss, inputs, None, BOTH) for inputs in [boxes(1), *inputs_of("giou")]]


def by_torchvision(name, function):
    source = f"torchvision 0.29.2 {function.__name__}"
    return [case(name, source, lambda predictions, targets: function(predictions, targets), boxes(2), None, BOTH)]


def giou():
    return by_torchvision("giou", generalized_box_iou_loss)


def diou():
    return by_torchvision("diou", distance_box_iou_loss)


def ciou():
    return by_torchvision("ciou", complete_box_iou_loss)


def distribution_focal():
    """The steps of mmdetection's distribution_focal_loss."""

    def loss(predictions, targets):
        left = targets.long()
        below = cross_entropy(predictions, left, reduction="none") * (left + 1 - targets)
        return below + cross_entropy(predictions, left + 1, reduction="none") * (targets - left)

    source = "the steps of mmdetection distribution_focal_loss, torch 2.15.0"
    cases = []
    for rows, bins in [(6, 5), (4, 17)]:
        random = rng(bins)
        targets = exact(random.uniform(0, bins - 1, rows))
        targets[0] = 2
        inputs = {"predictions": exact(random.normal(0, 2, (rows, bins))), "targets": targets}
        cases.append(case("distribution_focal", source, loss, inputs))
    return cases


def varifocal():
    """The steps of mmdetection's varifocal_loss with iou_weighted=True."""

    def loss(predictions, targets, alpha, gamma):
        weight = torch.where(targets > 0, targets, alpha * (torch.sigmoid(predictions) - targets).abs() ** gamma)
        return weight * binary_cross_entropy_with_logits(predictions, targets, reduction="none")

    source = "the steps of mmdetection varifocal_loss, torch 2.15.0"
    cases = []
    for seed, (alpha, gamma) in enumerate([(0.75, 2), (0.25, 1.5)]):
        random = rng(seed)
        targets = random.random((5, 4)) * (random.random((5, 4)) < 0.5)
        inputs = {"predictions": exact(random.normal(0, 2, (5, 4))), "targets": exact(targets)}
        cases.append(case("varifocal", source, loss, inputs, {"alpha": alpha, "gamma": gamma}))
    return cases


for reference in [iou, giou, diou, ciou, distribution_focal, varifocal]:
    add(reference.__name__, reference())
