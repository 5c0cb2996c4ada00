"""Reference values for ranking losses. Needs rax 0.4, optax 0.2.8 and torch 2.15."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import rax
import torch

from cases import case, exact, from_numbers, rng
from keep import add

jax.config.update("jax_enable_x64", True)


def lists(seed, shape, masked=False):
    random = rng(seed)
    inputs = {"predictions": exact(random.normal(0, 1.5, shape)), "targets": exact(random.integers(0, 4, shape))}
    if masked:
        mask = random.random(shape) < 0.7
        mask[0] = False  # a list of padding alone
        mask[1, :2] = True
        inputs["mask"] = exact(mask)
    return inputs


def by_rax(name, loss, seed, shape, masked=False, params=None, source=None, by_pairs=False):
    """rax sums each list; the mean is over the lists that have an item (or a pair, where rax averages over pairs)."""
    inputs = lists(seed, shape, masked)
    where = inputs.get("mask", np.ones(shape)) == 1
    each = jax.vmap(lambda s, y, m: loss(s, y, where=m, reduce_fn=jnp.sum))
    none = np.asarray(each(inputs["predictions"], inputs["targets"], where))
    better = inputs["targets"][:, :, None] > inputs["targets"][:, None, :]
    both = where[:, :, None] & where[:, None, :]
    counted = int(((better & both) if by_pairs else both).any((1, 2)).sum())
    slope = jax.grad(lambda s: each(s, inputs["targets"], where).sum() / counted)(inputs["predictions"])
    gradients = {"predictions": np.asarray(slope)}
    made = from_numbers(name, source or f"rax 0.4.0 {loss.__name__}, summed over each list", none, gradients, inputs, params)
    made["expected"]["mean"] = float(none.sum() / counted)
    return {**made, "id": f"{made['id']}/mask"} if masked else made


def variety(name, loss, **options):
    drawn = [(1, (6, 5), False), (2, (3, 8), False), (3, (4, 6), True)]
    return [by_rax(name, loss, *one, **options) for one in drawn]


def pairwise_hinge_ranking():
    return [by_rax("pairwise_hinge_ranking", rax.pairwise_hinge_loss, 3, (4, 6), True, by_pairs=True)]


def pairwise_logistic_ranking():
    return [by_rax("pairwise_logistic_ranking", rax.pairwise_logistic_loss, 3, (4, 6), True, by_pairs=True)]


def softmax_ranking():
    source = "optax 0.2.8 ranking_softmax_loss"
    return [by_rax("softmax_ranking", optax.losses.ranking_softmax_loss, 3, (4, 6), True, source=source)]


def pairwise_mse_ranking():
    return variety("pairwise_mse_ranking", rax.pairwise_mse_loss)


def unique_softmax():
    return variety("unique_softmax", rax.unique_softmax_loss)


def list_mle():
    return variety("list_mle", rax.listmle_loss)


def approx_ndcg():
    def by_temperature(temperature):
        rank = partial(rax.utils.approx_ranks, step_fn=lambda x: jax.nn.sigmoid(x / temperature))

        def loss(scores, labels, **options):
            return -rax.ndcg_metric(scores, labels, rank_fn=rank, **options)

        source = f"rax 0.4.0 -ndcg_metric with approx_ranks at temperature {temperature}"
        return variety("approx_ndcg", loss, source=source, params={"temperature": temperature})

    return by_temperature(0.1) + by_temperature(1)


def lambda_rank():
    """The steps of allRank's lambdaLoss for each list; its own discounts are float32."""

    def one_list(s, y, scheme, sigma, k):
        order = torch.argsort(s, descending=True, stable=True)
        s, y = s[order], y[order]
        discount = torch.log2(2 + torch.arange(len(s)).double())
        gains = 2**y - 1
        best = (torch.sort(gains, descending=True).values / discount)[:k].sum().clamp(min=1e-10)
        g = gains / best
        gap = (torch.arange(len(s))[:, None] - torch.arange(len(s))[None, :]).abs()
        steeper = (g[:, None] - g[None, :]).abs()
        swap = (1 / discount[:, None] - 1 / discount[None, :]).abs() * steeper
        shift = torch.where(gap == 0, 0, (1 / discount[(gap - 1).clamp(min=0)] - 1 / discount[gap.clamp(max=len(s) - 1)]).abs()) * steeper
        weights = {
            "lambdarank": swap,
            "ndcg1": (g / discount)[:, None].expand(len(s), len(s)),
            "ndcg2": shift,
            "ndcg2pp": 10 * shift + swap,
            "ranknet": torch.ones(len(s), len(s)),
        }[scheme]
        pairs = torch.ones(len(s), len(s)) > 0 if scheme == "ndcg1" else y[:, None] > y[None, :]
        first = torch.arange(len(s)) < (k or len(s))
        chance = torch.sigmoid(sigma * (s[:, None] - s[None, :]))
        return -(weights * torch.log2(chance))[pairs & first[:, None] & first[None, :]].sum()

    def loss(predictions, targets, scheme="lambdarank", sigma=1, k=None):
        return torch.stack([one_list(s, y, scheme, sigma, k) for s, y in zip(predictions, targets)])

    source = "the steps of allRank lambdaLoss (c884756) in float64, torch 2.15.0 autograd"
    schemes = ["lambdarank", "ndcg1", "ndcg2", "ndcg2pp", "ranknet"]
    settings = [{"scheme": scheme} for scheme in schemes] + [{"scheme": scheme, "sigma": 0.5, "k": 3} for scheme in schemes]
    return [case("lambda_rank", source, loss, lists(4, (5, 6)), params) for params in settings]


references = [
    pairwise_hinge_ranking,
    pairwise_logistic_ranking,
    pairwise_mse_ranking,
    softmax_ranking,
    unique_softmax,
    list_mle,
    approx_ndcg,
    lambda_rank,
]
for reference in references:
    add(reference.__name__, reference())
