"""
A process that times PyTorch: `python torch_bench.py THREADS [cuda] [compile]`. THREADS is a number or `all`; `cuda` puts data
and kernels on the GPU; `compile` uses torch.compile. It reads one task per line and prints one reply per line, as in tasks.ts.
Inputs and losses are those of load/fixed-inputs.ts, in float32 or float64, with reduction mean.
"""

import json
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


# Loss -> the function, and its targets.
LOSSES = {
    "cross_entropy": (F.cross_entropy, labels),
    "softmax_focal": (softmax_focal, labels),
    "sigmoid_focal": (sigmoid_focal, lambda rows, columns: reals(rows, columns, sparse)),
    "nt_xent": (nt_xent, lambda rows, columns: labels(rows, rows // 2)),
    "huber": (F.huber_loss, lambda rows, columns: reals(rows, columns, torch.cos)),
}


def reply_to(task):
    if task["loss"] not in LOSSES:
        return {"unsupported": f"{task['loss']} is not written here"}
    loss, targets_of = LOSSES[task["loss"]]
    if "compile" in sys.argv[2:]:
        loss = torch.compile(loss)
    targets = in_precision(targets_of(task["rows"], task["columns"]), task)
    x = in_precision(reals(task["rows"], task["columns"], torch.sin), task).requires_grad_()

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
