"""
Reference values of the Lovasz losses with PyTorch's autograd: `python lovasz.py > ../lovasz.json`. The algorithm is that of
Berman's own code (github.com/bermanmaxim/LovaszSoftmax), one image and class at a time, in float64.
"""

import json

import torch


def growth(inside):
    """The gradient of the Lovasz extension of the Jaccard distance, for sorted errors (algorithm 1)."""
    region = inside.sum()
    intersection = region - inside.cumsum(0)
    union = region + (1 - inside).cumsum(0)
    distance = 1 - intersection / union
    return torch.cat([distance[:1], distance[1:] - distance[:-1]])


def one(errors, targets):
    errors, places = torch.sort(errors, descending=True)
    return torch.dot(torch.relu(errors), growth(targets[places]))


def hinge(x, y):
    return torch.stack([torch.stack([one(1 - a * (2 * b - 1), b) for a, b in zip(*row)]) for row in zip(x, y)])


def softmax(x, y):
    p = torch.softmax(x, 1)
    absent = torch.zeros((), dtype=torch.float64)
    return torch.stack(
        [torch.stack([one((b - a).abs(), b) if b.sum() > 0 else absent for a, b in zip(*row)]) for row in zip(p, y)]
    )


def tensor(t):
    return {"dtype": "float64", "shape": list(t.shape), "data": t.detach().flatten().tolist()}


def case(name, mode, loss, x, y, counted):
    x = x.float().double().requires_grad_()
    values = loss(x, y)
    mean = values.sum() / counted
    mean.backward()
    return {
        "id": f"lovasz/{name}",
        "loss": "lovasz",
        "source": f"torch {torch.__version__}, Berman's algorithm",
        "params": {"mode": mode},
        "inputs": {"predictions": tensor(x), "targets": tensor(y)},
        "expected": {
            "none": tensor(values),
            "mean": mean.item(),
            "sum": values.sum().item(),
            "gradients": {"predictions": tensor(x.grad)},
            "gradients_of": "mean",
        },
    }


if __name__ == "__main__":
    torch.manual_seed(7)
    x = 2 * torch.randn(3, 2, 40)
    regions = (torch.rand(3, 2, 40) < 0.3).double()
    regions[2, 1] = 0
    classes = torch.nn.functional.one_hot(torch.randint(0, 3, (3, 30)), 4).permute(0, 2, 1).double()
    present = int((classes.sum(2) > 0).sum())
    cases = [
        case("hinge-3x2x40", "hinge", hinge, x, regions, 6),
        case("softmax-3x4x30", "softmax", softmax, 2 * torch.randn(3, 4, 30), classes, present),
    ]
    print("[\n" + ",\n".join(json.dumps(one, separators=(",", ":")) for one in cases) + "\n]")
