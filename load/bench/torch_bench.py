"""
A process that times PyTorch: `python torch_bench.py THREADS [cuda] [compile]`. THREADS is a number or `all`; `cuda` puts data
and kernels on the GPU; `compile` uses torch.compile. It reads one task per line and prints one reply per line, as in tasks.ts.
Inputs and losses are those of load/fixed-inputs.ts, in float32 or float64, with reduction mean.
"""

import json
import math
import sys
import time


def say(message):
    print(json.dumps(message), flush=True)


try:
    import torch
    import torch.nn.functional as F
except ImportError as error:
    say({"unavailable": str(error)})
    sys.exit()


DEVICE = "cuda" if "cuda" in sys.argv[2:] else "cpu"
if DEVICE == "cuda" and not torch.cuda.is_available():
    say({"unavailable": "torch has no CUDA device"})
    sys.exit()


def reals(rows, columns, at):
    places = torch.arange(rows * columns, dtype=torch.float64, device=DEVICE)
    return (3 * at(places)).float().reshape(rows, columns)


def in_precision(x, task):
    return x.double() if task.get("dtype") == "float64" and x.is_floating_point() else x


def sparse(places):
    return (places % 3 == 0) / 3


def labels(rows, classes):
    return torch.arange(rows, device=DEVICE) % classes


def sigmoid_focal(x, y, alpha=0.25, gamma=2.0):
    """torchvision.ops.sigmoid_focal_loss, line by line."""
    p = torch.sigmoid(x)
    bce = F.binary_cross_entropy_with_logits(x, y, reduction="none")
    p_t = p * y + (1 - p) * (1 - y)
    alpha_t = alpha * y + (1 - alpha) * (1 - y)
    return (alpha_t * bce * (1 - p_t) ** gamma).mean()


def softmax_focal(x, labels, gamma=2.0):
    """The usual form on cross_entropy."""
    bce = F.cross_entropy(x, labels, reduction="none")
    return ((1 - torch.exp(-bce)) ** gamma * bce).mean()


def nt_xent(x, labels, temperature=0.07):
    """As pytorch-metric-learning's NTXentLoss with cosine similarity, all pairs at once."""
    z = F.normalize(x, dim=1)
    s = z @ z.T / temperature
    same = labels[:, None] == labels[None, :]
    positive = same & ~torch.eye(len(x), dtype=torch.bool, device=x.device)
    negatives = torch.logsumexp(s.masked_fill(same, -torch.inf), dim=1, keepdim=True)
    return F.softplus(negatives - s)[positive].sum() / positive.sum()


def ctc(x, labels):
    rows, length = labels.shape
    times = torch.full((rows,), x.shape[1])
    return F.ctc_loss(F.log_softmax(x, 2).transpose(0, 1), labels, times, torch.full((rows,), length))


def ctc_labels(rows, classes):
    places = torch.arange(rows * 40, device=DEVICE)
    return (1 + places * places % (classes - 1)).reshape(rows, 40)


def lovasz(x, regions):
    """The Lovasz hinge of each class, as in Berman's reference implementation, all rows and classes at once."""
    inside = F.one_hot(regions, 2).transpose(1, 2).to(x.dtype)
    errors, order = torch.sort(1 - x * (2 * inside - 1), dim=2, descending=True, stable=True)
    found = inside.gather(2, order)
    region = found.sum(2, keepdim=True)
    distance = 1 - (region - found.cumsum(2)) / (region + (1 - found).cumsum(2))
    growth = torch.diff(distance, dim=2, prepend=torch.zeros_like(region))
    return (F.relu(errors) * growth).sum(2).mean()


def list_mle(x, relevance):
    order = torch.argsort(relevance, dim=1, descending=True, stable=True)
    scores = x.gather(1, order)
    return (torch.logcumsumexp(scores.flip(1), 1).flip(1) - scores).sum(1).mean()


def lambda_rank(x, relevance):
    places = torch.arange(2, x.shape[1] + 2, device=x.device, dtype=x.dtype)
    with torch.no_grad():
        order = torch.argsort(x, dim=1, descending=True, stable=True)
        discount = torch.empty_like(x).scatter_(1, order, (1 / torch.log2(places)).expand_as(x))
        ideal = torch.sort(relevance, dim=1, descending=True)[0]
        share = (2**relevance - 1) / ((2**ideal - 1) / torch.log2(places)).sum(1, keepdim=True)
        pairs = lambda x: (x[:, :, None] - x[:, None, :]).abs()
        weight = pairs(share) * pairs(discount) * (relevance[:, :, None] > relevance[:, None, :])
    losses = F.softplus(x[:, None, :] - x[:, :, None]) / math.log(2)
    return (weight * losses).sum((1, 2)).mean()


class Sparsemax(torch.autograd.Function):
    """The loss of Martins and Astudillo 2016 with its known gradient: the probabilities minus the target."""

    @staticmethod
    def forward(context, x, labels):
        ordered = torch.sort(x, dim=1, descending=True)[0]
        sums = ordered.cumsum(1) - 1
        places = torch.arange(1, x.shape[1] + 1, device=x.device, dtype=x.dtype)
        count = (places * ordered > sums).sum(1, keepdim=True)
        tau = sums.gather(1, count - 1) / count
        p = F.relu(x - tau)
        own = labels[:, None]
        slope = p.scatter_add(1, own, -torch.ones_like(tau))
        context.save_for_backward(slope)
        return ((p > 0) * (x * x - tau * tau)).sum(1) / 2 + 0.5 - x.gather(1, own)[:, 0]

    @staticmethod
    def backward(context, g):
        return context.saved_tensors[0] * g[:, None], None


# Loss -> the function, and its targets.
LOSSES = {
    "cross_entropy": (F.cross_entropy, labels),
    "softmax_focal": (softmax_focal, labels),
    "sigmoid_focal": (sigmoid_focal, lambda rows, columns: reals(rows, columns, sparse)),
    "ctc": (ctc, ctc_labels),
    "lovasz": (lovasz, lambda rows, pixels: (torch.arange(rows * pixels, device=DEVICE) // 3 % 2).reshape(rows, pixels)),
    "list_mle": (list_mle, lambda rows, items: reals(rows, items, torch.cos)),
    "lambda_rank": (lambda_rank, lambda rows, items: reals(rows, items, lambda i: i * 7 % 11 / 3)),
    "multiclass_sparsemax": (lambda x, labels: Sparsemax.apply(x, labels).mean(), labels),
    "nt_xent": (nt_xent, lambda rows, columns: labels(rows, rows // 2)),
    "huber": (F.huber_loss, lambda rows, columns: reals(rows, columns, torch.cos)),
}

# Loss -> the axis between the rows and the columns of its predictions.
MIDDLE = {"ctc": 200, "lovasz": 2}


def predictions(task):
    middle = MIDDLE.get(task["loss"])
    x = reals(task["rows"] * (middle or 1), task["columns"], torch.sin)
    return x if middle is None else x.reshape(task["rows"], middle, task["columns"])


def reply_to(task):
    if task["loss"] not in LOSSES:
        return {"unsupported": f"{task['loss']} is not written here"}
    loss, targets_of = LOSSES[task["loss"]]
    if "compile" in sys.argv[2:]:
        loss = torch.compile(loss)
    targets = in_precision(targets_of(task["rows"], task["columns"]), task)
    x = in_precision(predictions(task), task).requires_grad_()

    def call():
        x.grad = None
        value = loss(x, targets)
        value.backward()
        return value

    value = call().item()
    gradient = x.grad.double().abs().sum().item()
    timed(call, task["seconds"] / 3)
    return {"nanoseconds": timed(call, task["seconds"]), "value": value, "gradient": gradient}


def timed(call, seconds):
    """Nanoseconds per call. The clock is read only every few calls, so that reading it does not count."""
    calls, repeats, elapsed = 0, 1, 0
    while elapsed < seconds * 1e9:
        started = time.perf_counter_ns()
        for _ in range(repeats):
            call()
        if DEVICE == "cuda":
            torch.cuda.synchronize()
        took = time.perf_counter_ns() - started
        elapsed += took
        calls += repeats
        repeats = max(1, min(64, int(repeats * 1e6 / max(1, took)) + 1))
    return elapsed / calls


if sys.argv[1] != "all":
    torch.set_num_threads(int(sys.argv[1]))
count = torch.get_num_threads()
how = "torch.compile" if "compile" in sys.argv[2:] else "eager"
where = torch.cuda.get_device_name() if DEVICE == "cuda" else f"CPU, {count} thread{'' if count == 1 else 's'}"
say({"about": f"PyTorch {torch.__version__} {how}, {where}", "isGpu": DEVICE == "cuda"})
for line in sys.stdin:
    say(reply_to(json.loads(line)))
