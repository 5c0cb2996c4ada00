"""
A process that computes losses with PyTorch, in float32. It reads one request per line and prints one result per line, both JSON.

    {"loss": "huber", "params": {"delta": 1}, "tensors": {"predictions": {"shape": [2], "dtype": "float32", "data": [1, 2]}, ...}}
    {"loss": [...], "gradients": {"predictions": [...]}}

The loss is unreduced; the gradients are those of its sum. Only functions that PyTorch has are used, called as its docs specify.
"""

import json
import math
import sys

try:
    import torch
    import torch.nn.functional as F
except ImportError as error:
    print(json.dumps({"unavailable": str(error)}), flush=True)
    sys.exit()

NONE = {"reduction": "none"}


def elementwise(function):
    return lambda t, p: function(t["predictions"], t["targets"], p)


def focal(t, p):
    """torchvision.ops.sigmoid_focal_loss, line by line."""
    x, y = t["predictions"], t["targets"]
    q = torch.sigmoid(x)
    ce = F.binary_cross_entropy_with_logits(x, y, **NONE)
    q_t = q * y + (1 - q) * (1 - y)
    return (p["alpha"] * y + (1 - p["alpha"]) * (1 - y)) * ce * (1 - q_t) ** p["gamma"]


def labels(y):
    """PyTorch takes indices as int64 and probabilities as they are."""
    return y if y.is_floating_point() else y.long()


LOSSES = {
    "l1": elementwise(lambda x, y, p: F.l1_loss(x, y, **NONE)),
    "mse": elementwise(lambda x, y, p: F.mse_loss(x, y, **NONE)),
    "huber": elementwise(lambda x, y, p: F.huber_loss(x, y, delta=p["delta"], **NONE)),
    "smooth_l1": elementwise(lambda x, y, p: F.smooth_l1_loss(x, y, beta=p["beta"], **NONE)),
    "poisson_nll": elementwise(
        lambda x, y, p: F.poisson_nll_loss(x, y, log_input=p["log_input"], full=p["full"], eps=p["epsilon"], **NONE)
    ),
    "kl_div": elementwise(lambda x, y, p: F.kl_div(x, y, log_target=p["log_target"], **NONE)),
    "soft_margin": elementwise(lambda x, y, p: F.soft_margin_loss(x, y, **NONE)),
    "binary_cross_entropy": elementwise(lambda x, y, p: F.binary_cross_entropy(x, y, **NONE)),
    "binary_cross_entropy_with_logits": elementwise(lambda x, y, p: F.binary_cross_entropy_with_logits(x, y, **NONE)),
    "cross_entropy": elementwise(
        lambda x, y, p: F.cross_entropy(x, labels(y), label_smoothing=p["label_smoothing"], **NONE)
    ),
    "nll": elementwise(lambda x, y, p: F.nll_loss(x, y.long(), **NONE)),
    "multi_margin": elementwise(lambda x, y, p: F.multi_margin_loss(x, y.long(), margin=p["margin"], **NONE)),
    "multilabel_soft_margin": elementwise(lambda x, y, p: F.multilabel_soft_margin_loss(x, y, **NONE)),
    "hinge_embedding": elementwise(lambda x, y, p: F.hinge_embedding_loss(x, y, margin=p["margin"], **NONE)),
    "gaussian_nll": lambda t, p: F.gaussian_nll_loss(
        t["predictions"], t["targets"], t["variance"], full=p["full"], eps=p["epsilon"], **NONE
    ),
    "margin_ranking": lambda t, p: F.margin_ranking_loss(
        t["input1"], t["input2"], t["targets"], margin=p["margin"], **NONE
    ),
    "cosine_embedding": lambda t, p: F.cosine_embedding_loss(
        t["input1"], t["input2"], t["targets"], margin=p["margin"], **NONE
    ),
    "cosine_similarity": lambda t, p: 1 - F.cosine_similarity(t["predictions"], t["targets"], dim=1),
    "triplet_margin": lambda t, p: F.triplet_margin_loss(
        t["anchor"], t["positive"], t["negative"], margin=p["margin"], p=p["p"], eps=p["epsilon"], **NONE
    ),
    "linear_cross_entropy": lambda t, p: F.cross_entropy(
        t["hidden"] @ t["weight"].T, t["targets"].long(), label_smoothing=p["label_smoothing"], **NONE
    ),
    "ctc": lambda t, p: F.ctc_loss(
        F.log_softmax(t["predictions"], 2).transpose(0, 1),
        t["targets"].long(),
        t["input_lengths"].long(),
        t["target_lengths"].long(),
        **NONE,
    ),
    "sigmoid_focal": focal,
}


def numbers(tensor):
    """Python's JSON writes bare NaN and Infinity, which JavaScript cannot parse."""
    return [x if math.isfinite(x) else str(x) for x in tensor.double().flatten().tolist()]


def tensor_of(sent):
    dtype = torch.int32 if sent["dtype"] == "int32" else torch.float32
    data = torch.tensor(sent["data"], dtype=dtype).reshape(sent["shape"])
    return data.requires_grad_() if dtype == torch.float32 else data


def answer(request):
    function = LOSSES.get(request["loss"])
    if function is None:
        return {"unsupported": True}
    tensors = {name: tensor_of(sent) for name, sent in request["tensors"].items()}
    loss = function(tensors, request["params"])
    loss.sum().backward()
    gradients = {name: numbers(t.grad) for name, t in tensors.items() if t.grad is not None}
    return {"loss": numbers(loss.detach()), "gradients": gradients}


print(json.dumps({"about": f"PyTorch {torch.__version__.split('+')[0]}"}), flush=True)
for line in sys.stdin:
    try:
        print(json.dumps(answer(json.loads(line))), flush=True)
    except (RuntimeError, NotImplementedError) as error:
        # For example a gradient that PyTorch does not compute (of targets).
        print(json.dumps({"unsupported": str(error)}), flush=True)
