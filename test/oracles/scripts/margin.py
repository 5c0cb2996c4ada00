"""Reference values for margin losses. Needs torch 2.15, optax 0.2.8 and entmax 1.3."""

import jax
import numpy as np
import optax
import torch
from entmax import entmax15

from cases import case, exact, from_numbers, inputs_of, rng, write

jax.config.update("jax_enable_x64", True)


def categorical_hinge():
    """Keras' steps; its own ops round to float32 on the way."""

    def loss(predictions, targets):
        y = torch.nn.functional.one_hot(targets, predictions.shape[1]).double()
        return torch.relu(((1 - y) * predictions).amax(1) - (y * predictions).sum(1) + 1)

    source = "the steps of keras 3.15.1 categorical_hinge in float64, torch 2.15.0 autograd"
    return [case("categorical_hinge", source, loss, inputs) for inputs in inputs_of("categorical_hinge")]


def scores_and_probabilities(seed, shape):
    random = rng(seed)
    targets = random.dirichlet(np.ones(shape[1]), shape[0]) * (2**20)
    targets = np.floor(targets) / 2**20  # sums of multiples of 2^-20 are exact
    targets[:, 0] += 1 - targets.sum(1)
    targets[0] = np.eye(shape[1])[0]
    return {"predictions": exact(random.normal(0, 1.5, shape)), "targets": exact(targets)}


def by_optax(regularizer, max_fun, seed, shape):
    inputs = scores_and_probabilities(seed, shape)
    loss = optax.losses.make_fenchel_young_loss(max_fun)
    none = loss(inputs["predictions"], inputs["targets"])
    slope = jax.grad(lambda scores: loss(scores, inputs["targets"]).mean())(inputs["predictions"])
    source = f"optax 0.2.8 make_fenchel_young_loss({regularizer})"
    params = {"regularizer": regularizer}
    return from_numbers("fenchel_young", source, np.asarray(none), {"predictions": np.asarray(slope)}, inputs, params)


def sparse_max(scores):
    """max_p <p, scores> - (|p|^2 - 1) / 2, at the projection of the scores on the simplex."""
    p = jax.lax.stop_gradient(optax.projections.projection_simplex(scores))
    return p @ scores - (p @ p - 1) / 2


def by_entmax(seed, shape):
    def loss(predictions, targets, regularizer):
        p = entmax15(predictions.detach(), dim=1)
        return ((p - targets) * predictions).sum(1) - 4 / 3 * ((p**1.5).sum(1) - 1)

    inputs = scores_and_probabilities(seed, shape)
    source = "definition at the probabilities of entmax 1.3 entmax15"
    return case("fenchel_young", source, loss, inputs, {"regularizer": "entmax15"})


def fenchel_young():
    shapes = [(6, 5), (4, 3)]
    return [
        *(by_optax("entropy", jax.scipy.special.logsumexp, seed, shape) for seed, shape in enumerate(shapes)),
        *(by_optax("sparsemax", sparse_max, seed, shape) for seed, shape in enumerate(shapes)),
        *(by_entmax(seed, shape) for seed, shape in enumerate(shapes)),
    ]


for reference in [categorical_hinge, fenchel_young]:
    write(reference.__name__, reference())
