"""Reference values of adaptive softmax, by torch.nn.AdaptiveLogSoftmaxWithLoss in float64: `python adaptive_log_softmax.py > ../adaptive_log_softmax.json`."""

import json

import torch


def tensor(t, dtype="float64"):
    return {"dtype": dtype, "shape": list(t.shape), "data": t.detach().flatten().tolist()}


def case(classes, cutoffs, features=8, rows=6):
    torch.manual_seed(classes)
    # A ratio of 2 makes the tails' widths features / 2, features / 4, ...
    module = torch.nn.AdaptiveLogSoftmaxWithLoss(features, classes, cutoffs, div_value=2.0)
    # For a cluster without rows, PyTorch has no gradient, which means 0.
    module = module.double()
    hidden = torch.randn(rows, features).double().requires_grad_()
    targets = torch.arange(rows) * (classes - 1) // (rows - 1)
    inputs = {"hidden": hidden, "head": module.head.weight}
    for i, (projection, weight) in enumerate(module.tail):
        inputs[f"tails_{i}_projection"] = projection.weight
        inputs[f"tails_{i}_weight"] = weight.weight
    output, loss = module(hidden, targets)
    loss.backward()
    return {
        "id": f"adaptive_log_softmax/{rows}x{features}-{classes}-{'-'.join(map(str, cutoffs))}",
        "loss": "adaptive_log_softmax",
        "source": f"torch {torch.__version__} AdaptiveLogSoftmaxWithLoss",
        "params": {"cutoffs": cutoffs},
        "inputs": {**{name: tensor(t) for name, t in inputs.items()}, "targets": tensor(targets, "int64")},
        "expected": {
            "none": tensor(-output),
            "mean": loss.item(),
            "sum": -output.sum().item(),
            "gradients": {name: tensor(torch.zeros_like(t) if t.grad is None else t.grad) for name, t in inputs.items()},
            "gradients_of": "mean",
        },
    }


cases = [case(8, [3]), case(12, [4, 7]), case(20, [5, 8, 13])]
print("[\n" + ",\n".join(json.dumps(one, separators=(",", ":")) for one in cases) + "\n]")
