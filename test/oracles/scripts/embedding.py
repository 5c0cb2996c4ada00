"""Reference values for embedding losses. Needs torch 2.15 and pytorch-metric-learning 2.9.0."""

import numpy as np
import torch
from pytorch_metric_learning import losses, reducers
from torch.nn.functional import cross_entropy, normalize, relu, softplus

from cases import exact, rng, tensor, write

PML = "pytorch-metric-learning 2.9.0"
LABELS = [[0, 1, 0, 2, 1, 0, 3], [1, 1, 0, 0, 2, 2]]


def case(name, source, loss, inputs, params, differentiable=("embeddings",), counts=None):
    """`counts` is what each value adds to the denominator of the mean. The gradients are those of the sum."""
    tensors = {key: torch.tensor(value) for key, value in inputs.items()}
    for key in differentiable:
        tensors[key].requires_grad_(True)
    none = loss(**tensors, **params)
    none.sum().backward()
    counts = np.ones(len(none)) if counts is None else counts
    gradients = {key: tensor(tensors[key].grad.numpy()) for key in differentiable}
    total = none.sum().item()
    expected = {"none": tensor(none.detach().numpy()), "mean": total / counts.sum(), "sum": total}
    expected |= {"gradients": gradients, "gradients_of": "sum"}
    words = "".join(f"/{key}={value}" for key, value in params.items())
    shape = "x".join(map(str, next(iter(inputs.values())).shape))
    inputs = {key: tensor(value) for key, value in inputs.items()}
    return {"id": f"{name}/{shape}{words}", "loss": name, "source": source, "params": params, "inputs": inputs, "expected": expected}


def batches():
    for seed, labels in enumerate(LABELS):
        yield {"embeddings": exact(rng(seed).normal(0, 1, (len(labels), 4))), "labels": np.array(labels)}


def positives(labels):
    return (labels[:, None] == labels).sum(1) - 1


def by_row(loss):
    """pytorch-metric-learning's values before its reducer."""
    return lambda embeddings, labels: loss(embeddings, labels)["loss"]["losses"]


def supcon():
    def loss(embeddings, labels, temperature=0.1):
        return by_row(losses.SupConLoss(temperature, reducer=reducers.DoNothingReducer()))(embeddings, labels)

    source = f"{PML} SupConLoss; mean over rows with a positive"
    return [
        case("supcon", source, loss, inputs, params, counts=positives(inputs["labels"]) > 0)
        for inputs in batches()
        for params in ({}, {"temperature": 0.5})
    ]


def multi_similarity():
    def loss(embeddings, labels, alpha=2, beta=50, base=0.5):
        return by_row(losses.MultiSimilarityLoss(alpha, beta, base, reducer=reducers.DoNothingReducer()))(embeddings, labels)

    return [
        case("multi_similarity", f"{PML} MultiSimilarityLoss", loss, inputs, params)
        for inputs in batches()
        for params in ({}, {"alpha": 3.0, "beta": 10.0, "base": 0.25})
    ]


def circle():
    """Keras' steps; its own ops round to float32 on the way."""

    def loss(embeddings, labels, gamma=80, margin=0.4, weights="exact"):
        z = normalize(embeddings)
        distance = relu(1 - z @ z.T)
        same = labels[:, None] == labels
        positive = same & ~torch.eye(len(labels), dtype=bool)
        pull = -gamma * relu(margin + distance) * (margin - distance)
        push = gamma * relu(1 + margin - distance) * (1 - margin - distance)
        compared = positive.any(1) & ~same.all(1)
        pulls, pushes = (torch.where(mask, x, -1e30).logsumexp(1) for mask, x in ((positive, pull), (~same, push)))
        return torch.where(compared, softplus(pulls + pushes), 0.0)

    source = "the steps of keras 3.15.1 circle on normalised embeddings in float64; mean over rows with a positive"
    return [
        case("circle", source, loss, inputs, params, counts=positives(inputs["labels"]) > 0)
        for inputs in batches()
        for params in ({"weights": "exact"}, {"gamma": 16.0, "margin": 0.25, "weights": "exact"})
    ]


def triplets(embeddings, labels, mining, margin=1):
    """The definitions, one row and one pair at a time; semihard is tfa.losses.triplet_semihard_loss before its mean."""
    d = (embeddings[:, None] - embeddings).square().sum(2)
    rows = []
    for i, label in enumerate(labels):
        near = [d[i, j] for j in range(len(labels)) if labels[j] == label and j != i]
        far = [d[i, j] for j in range(len(labels)) if labels[j] != label]
        if not near:
            pairs = []
        elif mining == "hard":
            pairs = [(max(near), min(far))]
        elif mining == "all":
            pairs = [(p, n) for p in near for n in far]
        else:
            pairs = [(p, min((n for n in far if n > p), default=max(far))) for p in near]
        rows.append(sum((relu(p - n + margin) for p, n in pairs), d[i, i] * 0))
    return torch.stack(rows)


def triplet_batch():
    cases = []
    for inputs in batches():
        near = positives(inputs["labels"])
        counts = {"semihard": near, "hard": near > 0, "all": near * (len(near) - 1 - near)}
        for params in ({"mining": "semihard"}, {"mining": "hard"}, {"mining": "all"}, {"mining": "semihard", "margin": 3.0}):
            cases.append(case("triplet_batch", "the definition, row by row", triplets, inputs, params, counts=counts[params["mining"]]))
    return cases


def info_nce():
    def loss(query, positive, negatives, temperature=0.07):
        logits = torch.cat([(query * positive).sum(1, keepdim=True), torch.einsum("nd,nkd->nk", query, negatives)], 1)
        return cross_entropy(logits / temperature, torch.zeros(len(query), dtype=torch.int64), reduction="none")

    cases = []
    for seed, (rows, count, dim) in enumerate([(5, 3, 4), (3, 6, 2)]):
        shapes = {"query": (rows, dim), "positive": (rows, dim), "negatives": (rows, count, dim)}
        inputs = {key: exact(rng(10 * seed + i).normal(0, 0.5, shape)) for i, (key, shape) in enumerate(shapes.items())}
        for params in ({}, {"temperature": 1.0}):
            source = "torch 2.15.0 cross_entropy over (q.p, q.n_k) / T, target 0"
            cases.append(case("info_nce", source, loss, inputs, params, tuple(shapes)))
    return cases


def margin_softmax():
    def loss(embeddings, weight, targets, kind="arcface", margin=0.5, scale=64):
        classes, dim = weight.shape
        Loss, given = (losses.ArcFaceLoss, np.degrees(margin)) if kind == "arcface" else (losses.CosFaceLoss, margin)
        head = Loss(classes, dim, margin=given, scale=scale, reducer=reducers.DoNothingReducer()).double()
        del head.W
        head.W = weight.t()
        return by_row(head)(embeddings, targets)

    cases = []
    for seed, (rows, classes, dim) in enumerate([(6, 4, 3), (5, 3, 4)]):
        random = rng(100 + seed)
        inputs = {"embeddings": exact(random.normal(0, 1, (rows, dim))), "weight": exact(random.normal(0, 1, (classes, dim)))}
        inputs["targets"] = random.integers(0, classes, rows)
        inputs["embeddings"][0] = -inputs["weight"][inputs["targets"][0]] + exact([0.125] * dim)  # beyond pi - margin
        for params in ({}, {"kind": "cosface", "margin": 0.35}, {"kind": "arcface", "margin": 0.25, "scale": 8.0}):
            cases.append(case("margin_softmax", f"{PML} ArcFaceLoss, CosFaceLoss", loss, inputs, params, ("embeddings", "weight")))
    return cases


if __name__ == "__main__":
    for reference in (supcon, multi_similarity, circle, triplet_batch, info_nce, margin_softmax):
        write(reference.__name__, reference())
