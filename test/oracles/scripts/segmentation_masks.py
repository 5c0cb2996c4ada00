"""
Reference values for masks, class indices and ignored pixels in the segmentation losses, added to their other cases. Needs torch
2.15, MONAI 1.6 and segmentation-models-pytorch 0.6. As here, MONAI has one region per row and class. The regions of
segmentation-models-pytorch span the whole batch, and absent classes count as 0 in its means, so it gets one row at a time that
contains all classes.
"""

import numpy as np
import segmentation_models_pytorch.losses as smp
import torch
from monai.losses import DiceLoss, GeneralizedDiceLoss, MaskedDiceLoss, MaskedLoss, TverskyLoss

from cases import case, exact, rng
from keep import add
from lovasz import one

ACTIVATIONS = {"sigmoid": torch.sigmoid, "softmax": lambda x: torch.softmax(x, 1), "none": lambda x: x}
IGNORED = 255
SHAPE = (3, 4, 3, 4)


def pixels(seed, shape=SHAPE, *, ignored=False):
    """Logits, and one class index per pixel. All pixels of the last row are ignored."""
    random = rng(seed)
    rows, classes, *places = shape
    labels = random.integers(0, classes, (rows, *places))
    if ignored:
        labels[random.random(labels.shape) < 0.3] = IGNORED
        labels[-1] = IGNORED
    return {"predictions": exact(random.normal(0, 1.5, shape)), "targets": labels}


def regions(seed, mask_shape, shape=SHAPE):
    """Logits, overlapping regions (one of them empty), and a mask."""
    random = rng(seed)
    targets = random.integers(0, 2, shape)
    targets[0, 0] = 0
    mask = random.integers(0, 2, mask_shape)
    return {"predictions": exact(random.normal(0, 1.5, shape)), "targets": exact(targets), "mask": mask}


def one_hot(labels, classes):
    """One-hot targets; all zeros for ignored pixels."""
    return torch.stack([(labels == c).double() for c in range(classes)], 1)


def kept(what, name, source, loss, inputs, params, counts):
    """A case whose mean is over the regions that have pixels."""
    made = case(name, source, loss, inputs, params)
    share = np.asarray(counts).size / np.count_nonzero(counts)
    expected = made["expected"]
    slopes = {key: np.array(t["data"]) * share for key, t in expected["gradients"].items()}
    expected["mean"] *= share
    for key, slope in slopes.items():
        expected["gradients"][key]["data"] = slope.tolist()
    return {**made, "id": f"{name}/{what}/{made['id'].split('/', 1)[1]}"}


def with_pixels(mask, classes):
    """Whether any pixel counts, for each row and class."""
    rows = mask.reshape(len(mask), -1).any(1) if mask.ndim < 4 else mask.reshape(*mask.shape[:2], -1).any(2)
    return np.repeat(rows[:, None], classes, 1) if rows.ndim == 1 else rows


def overlaps(name, source, make, params):
    """
    The cases of a loss that MONAI has: class indices, some of which MONAI itself ignores, a mask per pixel, and a mask per
    pixel and class.

    make(params, **options) is MONAI's loss of probabilities.
    """
    words = {**params, "ignore_index": IGNORED}

    def activated(predictions, activation):
        return ACTIVATIONS[activation](predictions)

    def of_labels(predictions, targets, activation, ignore_index=-100, **rest):
        x = activated(predictions, activation)
        if name == "generalized_dice":
            # MONAI's loss has no ignore_index; its MaskedLoss is equivalent.
            keeps = (targets != ignore_index)[:, None].double()
            return MaskedLoss(make(rest))(x, one_hot(targets, x.shape[1]), keeps).flatten(1 if x.ndim > 2 else 0).reshape(len(x), -1)
        loss = make(rest, to_onehot_y=True, ignore_index=ignore_index)
        return loss(x, targets[:, None]).reshape(*x.shape[:2])

    def of_mask(predictions, targets, mask, activation, **rest):
        x = activated(predictions, activation)
        if mask.ndim < x.ndim:
            mask = mask[:, None]
        loss = make(rest)
        answer = loss(x * mask, targets * mask)
        return answer.reshape(len(x), -1)

    by_row = name == "generalized_dice"
    plain, ignored = pixels(1), pixels(2, ignored=True)
    a_pixel, a_class = regions(3, (3, 3, 4)), regions(4, SHAPE)
    a_pixel["mask"][1] = 0
    a_class["mask"][1, 2] = 0
    def counts(keeps):
        found = with_pixels(keeps, SHAPE[1])
        return found.any(1) if by_row else found

    # A softmax is taken over the classes that count. Without a softmax, MONAI's result is that of the remaining elements.
    each = {**params, "activation": "sigmoid"}
    return [
        kept("classes", name, source, of_labels, plain, params, counts(plain["targets"] >= 0)),
        kept("ignored", name, source, of_labels, ignored, words, counts(ignored["targets"] != IGNORED)),
        kept("mask", name, source, of_mask, a_pixel, params, counts(a_pixel["mask"])),
        kept("mask a class", name, source, of_mask, a_class, each, counts(a_class["mask"])),
    ]


def dice():
    def make(params, **options):
        smooth = params["smooth"]
        return DiceLoss(reduction="none", smooth_nr=smooth, smooth_dr=smooth, **options)

    made = overlaps("dice", "MONAI 1.6.1 DiceLoss", make, {"activation": "softmax", "smooth": 1})

    def masked(predictions, targets, mask, activation, smooth):
        loss = MaskedDiceLoss(reduction="none", smooth_nr=smooth, smooth_dr=smooth, sigmoid=activation == "sigmoid")
        return loss(predictions, targets, mask[:, None]).reshape(*predictions.shape[:2])

    inputs = regions(5, (3, 3, 4))
    params = {"activation": "sigmoid", "smooth": 1e-5}
    return [*made, kept("masked", "dice", "MONAI 1.6.1 MaskedDiceLoss", masked, inputs, params, with_pixels(inputs["mask"], 4))]


def jaccard():
    """MONAI adds smooth to twice the intersection and twice the union."""

    def make(params, **options):
        smooth = 2 * params["smooth"]
        return DiceLoss(jaccard=True, reduction="none", smooth_nr=smooth, smooth_dr=smooth, **options)

    return overlaps("jaccard", "MONAI 1.6.1 DiceLoss(jaccard=True)", make, {"activation": "softmax", "smooth": 1})


def tversky_of(params, **options):
    settings = {"alpha": params["alpha"], "beta": params["beta"], "smooth_nr": params["smooth"], "smooth_dr": params["smooth"]}
    return TverskyLoss(reduction="none", **settings, **options)


def tversky():
    params = {"activation": "softmax", "alpha": 0.3, "beta": 0.7, "smooth": 1}
    return overlaps("tversky", "MONAI 1.6.1 TverskyLoss", tversky_of, params)


def focal_tversky():
    def make(params, **options):
        loss = tversky_of(params, **options)
        return lambda *inputs: loss(*inputs) ** params["gamma"]

    # For a region without pixels, whose loss is 0, a power below 1 has no gradient in PyTorch.
    params = {"activation": "softmax", "alpha": 0.3, "beta": 0.7, "gamma": 1.5, "smooth": 1}
    return overlaps("focal_tversky", "MONAI 1.6.1 TverskyLoss to the power gamma", make, params)


def generalized_dice():
    """MONAI rounds its weights to float32; these weights are not rounded."""

    class Exact(GeneralizedDiceLoss):
        def w_func(self, grnd):
            return super().w_func(grnd.double())

    def make(params, **options):
        smooth = params["smooth"]
        return Exact(reduction="none", smooth_nr=smooth, smooth_dr=smooth, **options)

    source = "MONAI 1.6.1 GeneralizedDiceLoss, weights in float64"
    return overlaps("generalized_dice", source, make, {"activation": "softmax", "smooth": 1})


def batchwise(name, what, make, params, inputs):
    """The result of segmentation-models-pytorch for one row that contains all classes: their mean."""

    def loss(predictions, targets, **_):
        return make(predictions, targets)

    return scalar(what, case(name, f"segmentation-models-pytorch 0.6.0 {what}", loss, inputs, params))


def scalar(what, made):
    """A case of a loss that returns only the mean."""
    expected = {key: made["expected"][key] for key in ["mean", "gradients", "gradients_of"]}
    name, rest = made["id"].split("/", 1)
    return {**made, "id": f"{name}/{what}/{rest}", "expected": expected}


def of_many():
    """Class indices, some of them ignored."""
    inputs = pixels(6, (1, 3, 4, 5), ignored=False)
    inputs["targets"][0, 1] = IGNORED
    assert set(range(3)) < set(inputs["targets"].flatten())
    params = {"smooth": 1, "ignore_index": IGNORED}
    options = {"mode": "multiclass", "ignore_index": IGNORED}
    softmax = {"activation": "softmax", **params}
    weights = {"alpha": 0.3, "beta": 0.7}
    # Its Dice loss is Tversky with alpha = beta = 1/2, so smooth counts twice.
    return {
        "dice": [batchwise("dice", "DiceLoss", smp.DiceLoss(**options, smooth=1), {**softmax, "smooth": 2}, inputs)],
        "jaccard": [batchwise("jaccard", "JaccardLoss", smp.JaccardLoss(**options, smooth=1), softmax, inputs)],
        "tversky": [
            batchwise("tversky", "TverskyLoss", smp.TverskyLoss(**options, **weights, smooth=1), {**softmax, **weights}, inputs)
        ],
    }


def of_one():
    """One region, so that the power of the mean is the mean of the powers. If regions are given, a mask selects the pixels."""
    inputs = regions(7, (1, 6, 5), (1, 1, 6, 5))
    inputs["targets"][0, 0, 0] = 1
    inputs["mask"][0, 0] = 1
    focal = smp.TverskyLoss("binary", ignore_index=IGNORED, alpha=0.3, beta=0.7, gamma=0.75, smooth=1)
    params = {"activation": "sigmoid", "alpha": 0.3, "beta": 0.7, "gamma": 0.75, "smooth": 1}

    def loss(predictions, targets, mask, **_):
        return focal(predictions, torch.where(mask[:, None] == 1, targets, IGNORED))

    made = case("focal_tversky", "segmentation-models-pytorch 0.6.0 TverskyLoss", loss, inputs, params)
    return {"focal_tversky": [scalar("TverskyLoss", made)]}


def lovasz():
    """Berman's algorithm on the pixels that count."""

    def value(predictions, regions_of, keeps, mode):
        p = torch.softmax(predictions, 1)
        rows = []
        for row in range(len(predictions)):
            values = []
            for c in range(predictions.shape[1]):
                at = keeps[row, c] == 1
                x, y, q = predictions[row, c][at], regions_of[row, c][at], p[row, c][at]
                absent = y.sum() == 0 if mode == "softmax" else at.sum() == 0
                errors = 1 - x * (2 * y - 1) if mode == "hinge" else (y - q).abs()
                values.append(0 * predictions.sum() if absent else one(errors, y))
            rows.append(torch.stack(values))
        return torch.stack(rows)

    def of_labels(predictions, targets, mode, ignore_index=-100):
        keeps = (targets != ignore_index)[:, None].expand(predictions.shape)
        return value(predictions, one_hot(targets, predictions.shape[1]), keeps, mode)

    def of_mask(predictions, targets, mask, mode):
        keeps = mask if mask.ndim == predictions.ndim else mask[:, None].expand(predictions.shape)
        return value(predictions, targets, keeps, mode)

    source = f"torch {torch.__version__}, Berman's algorithm"
    plain, ignored = pixels(1), pixels(2, ignored=True)
    a_pixel, a_class = regions(3, (3, 3, 4)), regions(4, SHAPE)
    a_pixel["mask"][1] = 0
    a_class["mask"][1, 2] = 0
    present = lambda labels: np.array([[np.any(row == c) for c in range(4)] for row in labels])
    check_lovasz(of_labels, ignored)
    softmax, hinge = {"mode": "softmax"}, {"mode": "hinge"}
    return [
        kept("classes", "lovasz", source, of_labels, plain, softmax, present(plain["targets"])),
        kept("ignored", "lovasz", source, of_labels, ignored, {**softmax, "ignore_index": IGNORED}, present(ignored["targets"])),
        kept("ignored hinge", "lovasz", source, of_labels, ignored, {**hinge, "ignore_index": IGNORED}, with_pixels(ignored["targets"] != IGNORED, 4)),
        kept("mask", "lovasz", source, of_mask, a_pixel, hinge, with_pixels(a_pixel["mask"], 4)),
        kept("mask a class", "lovasz", source, of_mask, a_class, hinge, with_pixels(a_class["mask"], 4)),
    ]


def check_lovasz(of_labels, inputs):
    """segmentation-models-pytorch computes this only in float32, with the same results; it averages over images first."""
    x, labels = torch.tensor(inputs["predictions"][:1]), torch.tensor(inputs["targets"][:1])
    theirs = smp.LovaszLoss("multiclass", per_image=True, ignore_index=IGNORED)(x.float(), labels)
    ours = of_labels(x, labels, "softmax", IGNORED)
    assert abs(theirs - ours.sum() / (ours > 0).sum()) < 1e-6


if __name__ == "__main__":
    found = {reference.__name__: reference() for reference in [dice, jaccard, tversky, focal_tversky, generalized_dice, lovasz]}
    for more in [of_many(), of_one()]:
        for name, cases in more.items():
            found[name] += cases
    for name, cases in found.items():
        add(name, cases)
        print(name, len(cases))
