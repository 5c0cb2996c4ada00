"""Writes the numbers of the examples in docs/cookbook/*.json: float64, by PyTorch's autograd. Needs torch 2.15.

The code follows the papers and reference implementations, not our formulas, and uses a different form of the loss if there is
one. `python cookbook.py` writes all examples, `python cookbook.py huber` those of one file. Format the files with biome afterwards.
"""

import json
import math
import sys
from pathlib import Path

import torch
import torch.nn.functional as F

FOLDER = Path(__file__).parents[3] / "docs" / "cookbook"


# Robust regression


def cauchy(predictions, targets, c=2.385):
    return c**2 / 2 * torch.log(1 + ((predictions - targets) / c) ** 2)


def welsch(predictions, targets, c=2.985):
    return c**2 / 2 * (1 - torch.exp(-(((predictions - targets) / c) ** 2)))


def fair(predictions, targets, c=1.3998):
    u = (predictions - targets).abs() / c
    return c**2 * (u - torch.log1p(u))


def tukey_biweight(predictions, targets, c=4.685):
    u = (predictions - targets) / c
    inside = u.abs() < 1
    return c**2 / 6 * (1 - torch.where(inside, 1 - u**2, 0) ** 3)


def wing(predictions, targets, w=10, epsilon=2):
    e = (predictions - targets).abs()
    constant = w - w * math.log(1 + w / epsilon)
    return torch.where(e < w, w * torch.log(1 + e / epsilon), e - constant)


# Regression with costs


def asymmetric_squared(predictions, targets, over=1, under=2):
    e = predictions - targets
    return over * e.clamp(min=0) ** 2 + under * e.clamp(max=0) ** 2


def linex(predictions, targets, a=1):
    e = predictions - targets
    return 2 / a**2 * (torch.exp(a * e) - a * e - 1)


def newsvendor(predictions, demand, overage, underage):
    sold = torch.minimum(predictions, demand)
    return overage * (predictions - sold) + underage * (demand - sold)


def wrong_sign(predictions, targets, penalty=1):
    product = predictions * targets
    return F.mse_loss(predictions, targets, reduction="none") + penalty * torch.where(product < 0, -product, 0)


def smape(predictions, targets):
    half = (predictions.abs() + targets.abs()) / 2
    return torch.where(half == 0, 0, (predictions - targets).abs() / torch.where(half == 0, 1, half))


def trend(predictions, targets, weight=1):
    level = (predictions - targets) ** 2
    change = (torch.diff(predictions, dim=1) - torch.diff(targets, dim=1)) ** 2
    return level + weight * F.pad(change, (1, 0))


def hodrick_prescott(predictions, targets, smoothness=100):
    bend = torch.diff(predictions, n=2, dim=1)
    return (predictions - targets) ** 2 + smoothness * F.pad(bend**2, (1, 1))


# Distributions


def quantiles_without_crossing(predictions, targets, levels, penalty=1, gap=0):
    columns = []
    for i, level in enumerate(levels):
        e = targets - predictions[:, i]
        column = torch.maximum(level * e, (level - 1) * e)
        for j, higher in enumerate(levels):
            if higher > level:
                column = column + penalty * F.relu(predictions[:, i] - predictions[:, j] + gap)
        columns.append(column)
    return torch.stack(columns, 1)


def crps_ensemble(predictions, targets, fair=True):
    """By sorting: sum of |x_i - x_j| over pairs i < j is sum of (2 k - n + 1) x_(k), k from 0."""
    n = predictions.shape[1]
    ranks = torch.arange(n, dtype=torch.float64)
    pairs = (torch.sort(predictions, 1).values * (2 * ranks - n + 1)).sum(1)
    return (predictions - targets[:, None]).abs().mean(1) - pairs / (n * (n - 1) if fair else n * n)


def negative_binomial_nll(predictions, log_dispersion, targets):
    r = torch.exp(-log_dispersion)
    mean = torch.exp(predictions)
    return -torch.distributions.NegativeBinomial(total_count=r, probs=mean / (mean + r)).log_prob(targets)


def student_t_nll(predictions, log_scale, targets, nu=4):
    return -torch.distributions.StudentT(torch.tensor(nu, dtype=torch.float64), predictions, log_scale.exp()).log_prob(targets)


def gaussian_full_covariance(predictions, factor, targets):
    diagonal = torch.diag_embed(factor.diagonal(dim1=1, dim2=2).exp())
    covariance = (factor.tril(-1) + diagonal) @ (factor.tril(-1) + diagonal).mT
    return -torch.distributions.MultivariateNormal(predictions, covariance).log_prob(targets)


def cox_partial_likelihood(predictions, time, event):
    rows = []
    for i in range(len(time)):
        risk = sum(torch.exp(predictions[j]) for j in range(len(time)) if time[j] >= time[i])
        rows.append(event[i] * (torch.log(risk) - predictions[i]))
    return torch.stack(rows)


# Classification


def cost_weighted_bce(predictions, targets, miss_cost, false_alarm_cost):
    p = torch.sigmoid(predictions)
    return -(miss_cost * targets * torch.log(p) + false_alarm_cost * (1 - targets) * torch.log(1 - p))


def logit_adjusted(predictions, targets, prior, tau=1):
    return F.cross_entropy(predictions + tau * prior.log(), targets, reduction="none")


def balanced_softmax(predictions, targets, counts):
    weighted = counts * predictions.exp()
    return -torch.log(weighted.gather(1, targets[:, None])[:, 0] / weighted.sum(1))


def ldam(predictions, targets, counts, max_margin=0.5, scale=30):
    """As LDAMLoss of github.com/kaidic/LDAM-DRW."""
    margins = 1 / counts.sqrt().sqrt()
    margins = margins * (max_margin / margins.max())
    moved = predictions - F.one_hot(targets, predictions.shape[1]) * margins[targets][:, None]
    return F.cross_entropy(scale * moved, targets, reduction="none")


def log_t(x, t):
    return (x ** (1 - t) - 1) / (1 - t)


def exp_t(x, t):
    return (1 + (1 - t) * x) ** (1 / (1 - t))


class BiTempered(torch.autograd.Function):
    """The normaliser by bisection; the derivative in closed form, as github.com/google/bi-tempered-loss has it."""

    @staticmethod
    def forward(context, activations, labels, t1, t2):
        low = activations.max(1, keepdim=True).values
        high = low + 1e4
        for _ in range(200):
            middle = (low + high) / 2
            above = exp_t(activations - middle, t2).sum(1, keepdim=True) > 1
            low, high = torch.where(above, middle, low), torch.where(above, high, middle)
        p = exp_t(activations - (low + high) / 2, t2)
        context.save_for_backward(p, labels)
        context.temperatures = t1, t2
        own = (p * labels).sum(1)
        return -log_t(own, t1) - (1 - (p ** (2 - t1)).sum(1)) / (2 - t1)

    @staticmethod
    def backward(context, g):
        p, labels = context.saved_tensors
        t1, t2 = context.temperatures
        forgotten = (p - labels) * p ** (t2 - t1)
        escorts = p**t2 / (p**t2).sum(1, keepdim=True)
        return g[:, None] * (forgotten - escorts * forgotten.sum(1, keepdim=True)), None, None, None


def bi_tempered_logistic(predictions, targets, t1=0.8, t2=1.4):
    return BiTempered.apply(predictions, F.one_hot(targets, predictions.shape[1]).double(), t1, t2)


def ohem(predictions, targets, share=0.5):
    each = F.cross_entropy(predictions, targets, reduction="none")
    hardest = torch.topk(each, math.ceil(share * len(each))).indices
    return torch.zeros_like(each).scatter(0, hardest, each[hardest])


ohem.mean = lambda none, share=0.5, **_: none.sum() / math.ceil(share * len(none))


def soft_f1(predictions, targets):
    p = torch.sigmoid(predictions)
    precision, recall = [(p * targets).sum(0) / x.sum(0) for x in (p, targets)]
    return 1 - 2 * precision * recall / (precision + recall)


def symmetric_kl(predictions, others):
    p, q = F.log_softmax(predictions, 1), F.log_softmax(others, 1)
    there = F.kl_div(q, p, reduction="none", log_target=True)
    back = F.kl_div(p, q, reduction="none", log_target=True)
    return (there + back).sum(1)


def focal_tversky_masked(predictions, targets, mask=None, miss_weight=0.7, extra_weight=0.3, gamma=0.75):
    mask = torch.ones_like(targets) if mask is None else mask
    p, y = torch.sigmoid(torch.where(mask == 1, predictions, -torch.inf)), targets * mask
    hit = (p * y).sum(1)
    index = hit / (hit + miss_weight * (y.sum(1) - hit) + extra_weight * (p.sum(1) - hit))
    return (1 - index) ** gamma


def multi_task_uncertainty(predictions, targets, log_variance):
    variance = log_variance.exp().expand_as(predictions)
    return F.gaussian_nll_loss(predictions, targets, variance, reduction="none", eps=0)


# Policies and preferences


def surrogate(log_probs, old, advantages, low, high):
    ratio = torch.exp(log_probs - old)
    return torch.minimum(ratio * advantages, torch.clamp(ratio, 1 - low, 1 + high) * advantages)


def ppo_clip(log_probs, old_log_probs, advantages, mask=None, clip_low=0.2, clip_high=0.2):
    loss = -surrogate(log_probs, old_log_probs, advantages, clip_low, clip_high)
    return loss if mask is None else torch.where(mask == 1, loss, 0)


def grpo(log_probs, reference_log_probs, rewards, mask, old_log_probs=None, clip=0.2, beta=0.04):
    """As trl.GRPOTrainer."""
    advantages = (rewards - rewards.mean(1, keepdim=True)) / (rewards.std(1, keepdim=True) + 1e-4)
    old = log_probs.detach() if old_log_probs is None else old_log_probs
    kl = torch.exp(reference_log_probs - log_probs) - (reference_log_probs - log_probs) - 1
    token = -surrogate(log_probs, old, advantages[:, :, None], clip, clip) + beta * kl
    return (token * mask).sum(2) / mask.sum(2).clamp(min=1)


def ipo(policy_chosen, policy_rejected, reference_chosen, reference_rejected, beta=0.1):
    logits = (policy_chosen - policy_rejected) - (reference_chosen - reference_rejected)
    return (logits - 1 / (2 * beta)) ** 2


def kto(log_probs, reference_log_probs, liked, kl_log_probs, kl_reference_log_probs, beta=0.1, liked_weight=1, disliked_weight=1):
    """As trl.KTOTrainer."""
    kl = (kl_log_probs - kl_reference_log_probs).mean().clamp(min=0)
    rewards = log_probs - reference_log_probs
    chosen = liked_weight * (1 - torch.sigmoid(beta * (rewards - kl)))
    rejected = disliked_weight * (1 - torch.sigmoid(beta * (kl - rewards)))
    return torch.where(liked == 1, chosen, rejected)


def orpo(chosen, rejected, weight=0.1):
    """As trl.ORPOTrainer."""
    log_odds = (chosen - rejected) - (torch.log1p(-torch.exp(chosen)) - torch.log1p(-torch.exp(rejected)))
    return -chosen - weight * F.logsigmoid(log_odds)


def simpo(chosen, rejected, chosen_tokens, rejected_tokens, beta=2, gamma=1):
    return -F.logsigmoid(beta * chosen / chosen_tokens - beta * rejected / rejected_tokens - gamma)


# Embeddings


def siglip(images, texts, log_scale, bias):
    """Algorithm 1 of the paper, for each row."""
    n = len(images)
    logits = F.normalize(images) @ F.normalize(texts).T * log_scale.exp() + bias
    labels = 2 * torch.eye(n, dtype=torch.float64) - torch.ones(n, n)
    return -F.logsigmoid(labels * logits).sum(1)


def off_diagonal(matrix):
    return matrix - torch.diag(torch.diagonal(matrix))


def barlow_twins(first, second, redundancy=0.005):
    norm = lambda x: F.batch_norm(x, None, None, training=True, eps=1e-5)
    c = norm(first).T @ norm(second) / len(first)
    return (torch.diagonal(c) - 1) ** 2 + redundancy * (off_diagonal(c) ** 2).sum(1)


barlow_twins.mean = lambda none, **_: none.sum()


def vicreg(first, second, invariance=25, variance=25, covariance=1):
    """As github.com/facebookresearch/vicreg, for each dimension."""
    n = len(first)
    loss = invariance * F.mse_loss(first, second, reduction="none").mean(0)
    for view in (first, second):
        x = view - view.mean(0)
        loss = loss + variance * F.relu(1 - torch.sqrt(x.var(0) + 1e-4)) / 2
        loss = loss + covariance * (off_diagonal(x.T @ x / (n - 1)) ** 2).sum(1)
    return loss


# Correlation, signals and images


def pearson(predictions, targets):
    return torch.stack([1 - torch.corrcoef(torch.stack(pair))[0, 1] for pair in zip(predictions, targets)])


def concordance(predictions, targets):
    p, t = predictions.mean(1), targets.mean(1)
    both = ((predictions - p[:, None]) * (targets - t[:, None])).mean(1)
    return 1 - 2 * both / (predictions.var(1, correction=0) + targets.var(1, correction=0) + (p - t) ** 2)


def spectral_magnitude(predictions, targets):
    half = predictions.shape[1] // 2
    found, wanted = [torch.fft.rfft(x).abs() for x in (predictions, targets)]
    return F.pad((found - wanted).abs(), (0, predictions.shape[1] - half - 1))


def total_variation(images, epsilon=0.001):
    down = F.pad(images[:, 1:] - images[:, :-1], (0, 0, 0, 1))
    right = F.pad(images[:, :, 1:] - images[:, :, :-1], (0, 1))
    return torch.sqrt(down**2 + right**2 + epsilon**2) - epsilon


def soft_dtw(predictions, targets, gamma=1):
    """The recursion of the paper, differentiated by autograd."""
    cost = torch.cdist(predictions, targets) ** 2
    rows, steps, moments = cost.shape
    infinity = torch.full((rows,), torch.inf, dtype=cost.dtype)
    total = {(0, 0): torch.zeros(rows, dtype=cost.dtype)}
    for i in range(1, steps + 1):
        for j in range(1, moments + 1):
            before = [total.get(place, infinity) for place in ((i - 1, j - 1), (i - 1, j), (i, j - 1))]
            total[i, j] = cost[:, i - 1, j - 1] - gamma * torch.logsumexp(-torch.stack(before) / gamma, 0)
    return total[steps, moments]


def ssim(predictions, targets, data_range=1):
    """Every window by itself, by its weighted moments about its own mean."""
    height, width = predictions.shape[1:]
    near = lambda size: (torch.arange(size)[:, None] - torch.arange(size)).double() ** 2
    weights = torch.exp(-(near(height)[:, None, :, None] + near(width)[None, :, None, :]) / 4.5)
    weights = weights * (near(height)[:, None, :, None] <= 25) * (near(width)[None, :, None, :] <= 25)
    weights = weights / weights.sum((2, 3), keepdim=True)
    mean = lambda x: torch.einsum("hwij,nij->nhw", weights, x)
    about = lambda x: x[:, None, None] - mean(x)[:, :, :, None, None]
    moment = lambda x, y: torch.einsum("hwij,nhwij->nhw", weights, about(x) * about(y))
    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    a, b = mean(predictions), mean(targets)
    light = (2 * a * b + c1) / (a**2 + b**2 + c1)
    variances = moment(predictions, predictions) + moment(targets, targets)
    return 1 - light * (2 * moment(predictions, targets) + c2) / (variances + c2)


# Geometry


def chamfer(predictions, targets):
    square = torch.cdist(predictions, targets) ** 2
    return square.min(2).values.mean(1) + square.min(1).values.mean(1)


def unit_vector(degrees):
    latitude, longitude = torch.deg2rad(degrees).unbind(1)
    return torch.stack([latitude.cos() * longitude.cos(), latitude.cos() * longitude.sin(), latitude.sin()], 1)


def great_circle(predictions, targets, radius=6371.0088):
    """The angle between two vectors, by its sine and cosine."""
    a, b = unit_vector(predictions), unit_vector(targets)
    return radius * torch.atan2(torch.linalg.cross(a, b).norm(dim=1), (a * b).sum(1))


def pair_logits(logits):
    """As in the pseudocode of the paper, for each row."""
    labels = torch.arange(len(logits))
    of_rows = F.cross_entropy(logits, labels, reduction="none")
    return (of_rows + F.cross_entropy(logits.T, labels, reduction="none")) / 2


def rotation_angle(predictions, targets):
    """From the sine and cosine of half the angle, for any two matrices, because autograd does not see only rotations."""
    half = (predictions - targets).flatten(1).norm(dim=1) / math.sqrt(8)
    return 2 * torch.atan2(half, torch.sqrt(1 - half**2))


def filled(loss, definition, example):
    tensors = {name: tensor(data, definition["inputs"][name]) for name, data in example["inputs"].items()}
    wants = [name for name in tensors if definition["inputs"][name].get("differentiable")]
    for name in wants:
        tensors[name].requires_grad_(True)
    none = loss(**tensors, **example.get("params", {}))
    mean = getattr(loss, "mean", lambda none, **_: none.mean())
    reduction = example.get("reduction", "none")
    value = none if reduction == "none" else mean(none, **example.get("params", {}))
    value.sum().backward()
    gradients = {name: tensors[name].grad.tolist() for name in wants}
    return {**{key: example[key] for key in ("inputs", "params", "reduction") if key in example}, "loss": value.tolist(), "gradients": gradients}


def tensor(data, declared):
    return torch.tensor(numbers(data), dtype=torch.int64 if declared["kind"] == "class" else torch.float64)


def numbers(data):
    """Numbers that JSON cannot represent are strings, such as "NaN"."""
    return [numbers(part) for part in data] if isinstance(data, list) else float(data) if isinstance(data, str) else data


for file in sorted(FOLDER.glob("*.json")):
    if len(sys.argv) > 1 and file.stem not in sys.argv[1:]:
        continue
    definition = json.loads(file.read_text())
    definition["examples"] = [filled(globals()[file.stem], definition, example) for example in definition["examples"]]
    file.write_text(json.dumps(definition, ensure_ascii=False, indent=2) + "\n")
