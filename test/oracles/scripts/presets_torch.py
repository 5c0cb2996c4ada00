"""
The results of the losses of PyTorch, and of libraries built on it, with their defaults. Needs torch 2.15, torchvision 0.29,
torchmetrics 1.9, pytorch-metric-learning 2.9, sentence-transformers 6.2, open_clip 3.3 and MONAI 1.6.
"""

from importlib.metadata import version

import monai.losses
import numpy as np
import open_clip.loss
import pytorch_metric_learning.losses as pml
import sentence_transformers.losses as st
import torch
import torchmetrics.regression
import torchvision.ops as ops

import presets as p

F = torch.nn.functional


def run(name, loss, cases, function):
    """One case for each of the inputs: the value, and the gradients of its sum."""
    made = []
    for identity, inputs in cases.items():
        tensors = {key: torch.tensor(value) for key, value in inputs.items()}
        wants = [key for key in p.differentiable(loss) if key in tensors and tensors[key].is_floating_point()]
        for key in wants:
            tensors[key].requires_grad_(True)
        value = function(**tensors)
        slopes = torch.autograd.grad(value.sum(), [tensors[key] for key in wants], allow_unused=True)
        gradients = {key: slope.numpy() for key, slope in zip(wants, slopes) if slope is not None}
        made.append(p.case(loss, name, identity, source_of(name), inputs, value.detach().numpy(), gradients))
    return made


def source_of(name):
    package = {"torch": "torch", "open_clip": "open_clip_torch"}.get(name.split(".")[0], name.split(".")[0])
    return f"{package} {version(package)}, autograd"


def both(function, module, loss, cases, call=lambda f, **inputs: f(*inputs.values())):
    """A function and its class, which return the same result."""
    return [
        *run(f"torch.nn.functional.{function}", loss, cases, lambda **inputs: call(getattr(F, function), **inputs)),
        *run(f"torch.nn.{module}", loss, cases, lambda **inputs: call(getattr(torch.nn, module)(), **inputs)),
    ]


def pixels(targets):
    return {"pixels": p.named("predictions targets", p.real(50, 2, 3, 4), targets)}


INTEGERS = pixels(p.classes(51, 3, 2, 4))
HINGED = p.pairs(
    plain=(np.abs(p.real(52, 4, 3)), p.signs(53, 4, 3)),
    margin=(p.array([[1.0, 2, 0]]), p.array([[-1, -1, 1]])),
)
TWO = "input1 input2 targets"
RANKED = {
    "plain": p.named(TWO, p.real(54, 4, 3), p.real(55, 4, 3), p.signs(56, 4, 3)),
    "tied": p.named(TWO, p.array([1.0, 2]), p.array([1.0, 2]), p.array([1.0, -1])),
}
ANGLES = {
    "plain": p.named(TWO, p.real(57, 5, 3), p.real(58, 5, 3), p.signs(59, 5)),
    "zero": p.named(TWO, p.array([[0.0, 0], [3, 4]]), p.array([[3.0, 4], [0, 0]]), p.array([1.0, 1])),
    "square": p.named(TWO, p.array([[1.0, 0]]), p.array([[0, 1.0]]), p.array([-1.0])),
}
LISTED = p.pairs(plain=(p.real(60, 3, 4), p.array([[1, 3, -1, 0], [0, -1, 2, 1], [-1, 0, 0, 0]], int)))
MULTI = p.pairs(plain=(p.real(61, 4, 3), p.bits(62, 4, 3)), far=(p.array([[1e3, -1e3, 0]]), p.array([[0.0, 1, 1]])))
HIDDEN = {"plain": p.named("hidden weight bias targets", p.real(63, 4, 3), p.real(64, 5, 3), p.real(65, 5), p.classes(66, 5, 4))}
HIDDEN["ignored"] = {**HIDDEN["plain"], "targets": p.array([0, -100, 4, 2], int)}
RATES = p.pairs(plain=(p.real(67, 4, 3), p.exact(p.classes(68, 5, 4, 3))), far=(p.array([[30.0, -1e4]]), p.array([[3.0, 0]])))
SPREAD = {
    "plain": p.named("predictions targets variance", p.real(69, 4, 3), p.real(70, 4, 3), p.unit(71, 4, 3)),
    "small": p.named("predictions targets variance", p.array([[1.0, 2]]), p.array([[1.5, 2]]), p.array([[0, 1e-9]])),
}


def gaussian(f, predictions, targets, variance):
    return f(predictions, targets, variance)


def linear(hidden, weight, bias, targets):
    return F.linear_cross_entropy(hidden, weight, targets, linear_bias=bias)


def linear_module(hidden, weight, bias, targets):
    """The class owns weight and bias."""
    module = torch.nn.LinearCrossEntropyLoss(weight.shape[1], weight.shape[0], bias=True).double()
    return torch.func.functional_call(module, {"linear.weight": weight, "linear.bias": bias}, (hidden, targets))


def ctc(f, predictions, targets, input_lengths, target_lengths):
    return f(predictions.log_softmax(-1).transpose(0, 1), targets, input_lengths, target_lengths)


def torch_cases():
    triplet = lambda f, anchor, positive, negative: f(anchor, positive, negative)
    classes = {**p.INDICES, **p.IGNORED, **INTEGERS}
    scores = {**p.SCORES, **p.AT_MARGIN}
    logs = {key: {**one, "predictions": np.log(softmax(one["predictions"]))} for key, one in {"plain": p.INDICES["plain"], **p.IGNORED, **INTEGERS}.items()}
    return [
        *both("mse_loss", "MSELoss", "mse", {**p.REALS, **p.FAR, **p.EQUAL}),
        *both("l1_loss", "L1Loss", "l1", {**p.REALS, **p.FAR, **p.EQUAL}),
        *both("smooth_l1_loss", "SmoothL1Loss", "smooth_l1", {**p.REALS, **p.FAR, **p.EQUAL}),
        *both("huber_loss", "HuberLoss", "huber", {**p.REALS, **p.FAR, **p.EQUAL}),
        *both("poisson_nll_loss", "PoissonNLLLoss", "poisson_nll", RATES),
        *both("gaussian_nll_loss", "GaussianNLLLoss", "gaussian_nll", SPREAD, gaussian),
        *both("binary_cross_entropy", "BCELoss", "binary_cross_entropy", p.PROBABILITIES),
        *both("binary_cross_entropy_with_logits", "BCEWithLogitsLoss", "binary_cross_entropy_with_logits", p.LOGITS),
        *both("soft_margin_loss", "SoftMarginLoss", "soft_margin", scores),
        *both("multilabel_soft_margin_loss", "MultiLabelSoftMarginLoss", "multilabel_soft_margin", MULTI),
        *both("multilabel_margin_loss", "MultiLabelMarginLoss", "multilabel_margin", LISTED),
        *both("multi_margin_loss", "MultiMarginLoss", "multi_margin", {**p.INDICES, **p.TIED}),
        *both("cross_entropy", "CrossEntropyLoss", "cross_entropy", {**classes, **p.SHARES, "map": pixels(softmax(p.real(72, 2, 3, 4)))["pixels"]}),
        *both("nll_loss", "NLLLoss", "nll", logs),
        *run("torch.nn.functional.linear_cross_entropy", "linear_cross_entropy", HIDDEN, linear),
        *run("torch.nn.LinearCrossEntropyLoss", "linear_cross_entropy", HIDDEN, linear_module),
        *both("kl_div", "KLDivLoss", "kl_div", p.LOGPROBS),
        *both("hinge_embedding_loss", "HingeEmbeddingLoss", "hinge_embedding", HINGED),
        *both("margin_ranking_loss", "MarginRankingLoss", "margin_ranking", RANKED),
        *both("cosine_embedding_loss", "CosineEmbeddingLoss", "cosine_embedding", ANGLES),
        *both("triplet_margin_loss", "TripletMarginLoss", "triplet_margin", p.TRIPLETS, triplet),
        *both("triplet_margin_with_distance_loss", "TripletMarginWithDistanceLoss", "triplet_margin", p.TRIPLETS, triplet),
        *both("ctc_loss", "CTCLoss", "ctc", p.SEQUENCES, ctc),
        *both("cosine_similarity", "CosineSimilarity", "cosine_similarity", p.VECTORS),
        *run("torch.nn.NLLLoss2d", "nll", logs, lambda predictions, targets: torch.nn.NLLLoss2d()(predictions, targets)),
        *adaptive_cases(),
    ]


def adaptive_cases():
    """The class owns its weights: two clusters after a head of four classes."""
    classes, features, cutoffs = 12, 6, [4, 8]
    weights = {"head": (6, 6), "tails_0_projection": (3, 6), "tails_0_weight": (4, 3), "tails_1_projection": (1, 6), "tails_1_weight": (4, 1)}
    inputs = {"hidden": p.real(147, 5, features), **{name: p.real(148 + i, *shape) for i, (name, shape) in enumerate(weights.items())}, "targets": p.array([0, 3, 5, 11, 6], int)}
    tensors = {key: torch.tensor(value, requires_grad=value.dtype.kind == "f") for key, value in inputs.items()}
    module = torch.nn.AdaptiveLogSoftmaxWithLoss(features, classes, cutoffs, div_value=2.0).double()
    owned = {"head.weight": "head", "tail.0.0.weight": "tails_0_projection", "tail.0.1.weight": "tails_0_weight", "tail.1.0.weight": "tails_1_projection", "tail.1.1.weight": "tails_1_weight"}
    value = torch.func.functional_call(module, {theirs: tensors[ours] for theirs, ours in owned.items()}, (tensors["hidden"], tensors["targets"])).loss
    wants = [key for key in tensors if key != "targets"]
    gradients = {key: slope.numpy() for key, slope in zip(wants, torch.autograd.grad(value, [tensors[key] for key in wants]))}
    name = "torch.nn.AdaptiveLogSoftmaxWithLoss"
    return [p.case("adaptive_log_softmax", name, "plain", source_of(name), inputs, value.detach().numpy(), gradients, params={"cutoffs": cutoffs})]


def softmax(logits):
    """Over the second axis."""
    powers = np.exp(logits)
    return powers / powers.sum(1, keepdims=True)


def torchvision_cases():
    boxes = {"generalized_box_iou_loss": "giou", "distance_box_iou_loss": "diou", "complete_box_iou_loss": "ciou"}
    return [
        *run("torchvision.ops.sigmoid_focal_loss", "sigmoid_focal", p.LOGITS, lambda predictions, targets: ops.sigmoid_focal_loss(predictions, targets)),
        *(one for name, loss in boxes.items() for one in run(f"torchvision.ops.{name}", loss, p.BOXES, lambda predictions, targets: getattr(ops, name)(predictions, targets))),
    ]


def metric_learning_cases():
    """Losses that own a weight matrix get it with our shape, [classes, dim]."""
    in_batch = {"NTXentLoss": "nt_xent", "SupConLoss": "supcon", "CircleLoss": "circle", "MultiSimilarityLoss": "multi_similarity"}
    rows = {"plain": p.ROWS, "gathered": p.GATHERED, "origin": p.AT_ORIGIN, "one": p.ONE_CLASS, "singles": p.SINGLES}
    weights = p.named("embeddings weight targets", p.real(73, 4, 3), p.real(74, 5, 3), p.classes(75, 5, 4))
    facing = {"plain": weights, "behind": {**weights, "embeddings": -weights["weight"][weights["targets"]]}}

    def softmax_loss(name):
        def function(embeddings, weight, targets):
            module = getattr(pml, name)(weight.shape[0], weight.shape[1])
            del module.W
            module.W = weight.T
            return module(embeddings, targets)

        return run(f"pytorch_metric_learning.losses.{name}", "margin_softmax", facing, function)

    return [
        *(one for name, loss in in_batch.items() for one in run(f"pytorch_metric_learning.losses.{name}", loss, rows, lambda embeddings, labels: getattr(pml, name)()(embeddings, labels))),
        *(one for name in ["ArcFaceLoss", "CosFaceLoss", "NormalizedSoftmaxLoss"] for one in softmax_loss(name)),
    ]


def sentence_cases():
    found = {"plain": p.named("anchor positive", p.real(76, 4, 3), p.real(77, 4, 3))}
    taught = {"plain": p.named("student teacher", p.real(78, 4, 3), p.real(79, 4, 3))}
    model = torch.nn.Sequential(torch.nn.Identity())

    def ranking(name, anchor, positive):
        return getattr(st, name)(model).compute_loss_from_embeddings([anchor, positive], None)

    def cached(anchor, positive):
        return st.CachedMultipleNegativesRankingLoss(model).calculate_loss([[anchor], [positive]])

    def clip(anchor, positive):
        """CLIP itself normalizes the features and provides the scale."""
        return open_clip.loss.ClipLoss()(F.normalize(anchor), F.normalize(positive), torch.tensor(20.0, dtype=torch.float64))

    def distill(student, teacher):
        """A query's scores are logits here: dot products of unit vectors with them."""
        loss = st.DistillKLDivLoss(model)
        return loss.compute_loss_from_embeddings(scored(student), teacher)

    return [
        *run("sentence_transformers.losses.MultipleNegativesRankingLoss", "multiple_negatives_ranking", found, lambda **inputs: ranking("MultipleNegativesRankingLoss", **inputs)),
        *run("sentence_transformers.losses.MultipleNegativesSymmetricRankingLoss", "multiple_negatives_ranking", found, lambda **inputs: ranking("MultipleNegativesSymmetricRankingLoss", **inputs)),
        *run("sentence_transformers.losses.CachedMultipleNegativesRankingLoss", "multiple_negatives_ranking", found, cached),
        *run("open_clip.loss.ClipLoss", "multiple_negatives_ranking", found, clip),
        *run("sentence_transformers.losses.TripletLoss", "triplet_margin", p.TRIPLETS, lambda **inputs: st.TripletLoss(model).compute_loss_from_embeddings(list(inputs.values()), None)),
        *run("sentence_transformers.losses.DistillKLDivLoss", "distillation_kl", taught, distill),
    ]


def scored(student):
    """Embeddings of a query and its documents whose dot products are the student's logits."""
    query = torch.zeros_like(student)
    query[:, 0] = 1
    documents = [torch.cat([student[:, i : i + 1], query[:, 1:]], 1) for i in range(student.shape[1])]
    return [query, *documents]


def torchmetrics_cases():
    both = p.pairs(plain=(p.simplex(80, 4, 3), p.simplex(81, 4, 3)), scaled=(p.unit(82, 4, 3), p.unit(83, 4, 3)), apart=(p.array([[1.0, 0]]), p.array([[0, 1.0]])))
    name = "torchmetrics.functional.regression.jensen_shannon_divergence"
    function = torchmetrics.functional.regression.jensen_shannon_divergence
    return [
        *run(name, "js_div", both, lambda predictions, targets: function(predictions, targets)),
        *run("torchmetrics.regression.JensenShannonDivergence", "js_div", both, lambda predictions, targets: torchmetrics.regression.JensenShannonDivergence().double()(predictions, targets)),
    ]


def monai_cases():
    """MONAI's generalized Dice rounds its weights to float32. For sizes that are powers of 2, they are exact."""
    regions = p.SHARED_REGIONS
    powers = (np.arange(5) < np.array([[1, 4], [2, 1], [4, 2]])[..., None]).astype(np.float64)
    sized = {"powers": {**regions["plain"], "targets": powers}, "empty": regions["empty"]}
    sized["absent"] = {**regions["plain"], "targets": powers * np.array([1, 0])[:, None]}
    masked = {"mask": {**regions["plain"], "mask": p.array([[1, 1, 0, 1, 1], [0, 1, 0, 1, 0], [0, 0, 0, 0, 1]])}}
    own = lambda name: lambda predictions, targets: getattr(monai.losses, name)()(predictions, targets)
    by_mask = lambda predictions, targets, mask: monai.losses.MaskedDiceLoss()(predictions, targets, mask[:, None])
    return [
        *run("monai.losses.DiceLoss", "dice", regions, own("DiceLoss")),
        *run("monai.losses.MaskedDiceLoss", "dice", masked, by_mask),
        *run("monai.losses.TverskyLoss", "tversky", regions, own("TverskyLoss")),
        *run("monai.losses.GeneralizedDiceLoss", "generalized_dice", sized, own("GeneralizedDiceLoss")),
    ]


if __name__ == "__main__":
    p.write("torch", [*torch_cases(), *torchvision_cases(), *metric_learning_cases(), *sentence_cases(), *torchmetrics_cases(), *monai_cases()])
