"""Reference values for preference losses. Needs torch 2.15."""

import torch
from torch.nn.functional import logsigmoid

from cases import exact, rng, tensor
from keep import add

NAMES = ["policy_chosen", "policy_rejected", "reference_chosen", "reference_rejected"]


def terms(chosen, rejected, beta, epsilon):
    """The steps of trl 1.16 DPOTrainer, from log-ratios; sigmoid with the label_smoothing of trl 0.x."""
    delta = chosen - rejected
    right, swapped = -logsigmoid(beta * delta), -logsigmoid(-beta * delta)
    return {
        "sigmoid": (1 - epsilon) * right + epsilon * swapped,
        "hinge": torch.relu(1 - beta * delta),
        "ipo": (delta - 1 / (2 * beta)) ** 2,
        "robust": ((1 - epsilon) * right - epsilon * swapped) / (1 - 2 * epsilon),
        "nca_pair": -logsigmoid(beta * chosen) - 0.5 * logsigmoid(-beta * chosen) - 0.5 * logsigmoid(-beta * rejected),
        "sppo_hard": (chosen - 0.5 / beta) ** 2 + (rejected + 0.5 / beta) ** 2,
        "apo_zero": 1 - torch.sigmoid(beta * chosen) + torch.sigmoid(beta * rejected),
        "apo_down": torch.sigmoid(beta * chosen) + 1 - torch.sigmoid(beta * delta),
    }


def case_of(variant, beta, epsilon):
    random = rng(int(10 * beta))
    inputs = {name: exact(-random.gamma(4, 5, 6)) for name in NAMES}
    tensors = {name: torch.tensor(value) for name, value in inputs.items()}
    wanted = [tensors[name].requires_grad_(True) for name in NAMES[:2]]
    chosen, rejected = (tensors[f"policy_{one}"] - tensors[f"reference_{one}"] for one in ["chosen", "rejected"])
    none = terms(chosen, rejected, beta, epsilon)[variant]
    slopes = torch.autograd.grad(none.mean(), wanted, allow_unused=True, materialize_grads=True)
    expected = {"none": tensor(none.detach().numpy()), "mean": none.mean().item(), "sum": none.sum().item()}
    gradients = {name: tensor(slope.numpy()) for name, slope in zip(NAMES, slopes)}
    return {
        "id": f"dpo/6/{variant}/beta={beta}",
        "loss": "dpo",
        "source": "the steps of trl 1.16.0 DPOTrainer, torch 2.15.0",
        "params": {"beta": beta, "variant": variant}
        | ({"label_smoothing": epsilon} if variant in ("sigmoid", "robust") else {}),
        "inputs": {name: tensor(value) for name, value in inputs.items()},
        "expected": {**expected, "gradients": gradients, "gradients_of": "mean"},
    }


def dpo():
    variants = ["sigmoid", "hinge", "ipo", "robust", "nca_pair", "sppo_hard", "apo_zero", "apo_down"]
    return [case_of(variant, beta, epsilon) for variant in variants for beta, epsilon in [(0.1, 0), (0.5, 0.1)]]


add("dpo", dpo())
