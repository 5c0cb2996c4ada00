"""
JAX: values and gradients under jit, with parameters that are traced; on ordinary numbers also under vmap, and as a function
that grad takes.
"""

from functools import cache

import jax

jax.config.update("jax_enable_x64", True)

import numpy as np  # noqa: E402
from common import main  # noqa: E402


@cache
def compiled(function, order, names, reduction):
    """Traced once for all cases of a source: what is compiled is most of the time that a run takes."""

    @jax.jit
    def both(inputs, params, weights):
        def values(wanted):
            given = {**inputs, **wanted}
            return function(*(given[name] for name in order), **params, reduction=reduction)

        loss, pull = jax.vjp(values, {name: inputs[name] for name in names})
        columns = weights.reshape(-1, *[1] * (loss.ndim - 1)) if loss.ndim > 0 else 1
        return loss, pull(columns * jax.numpy.ones_like(loss))[0]

    return both


def call(function, one):
    order, names = tuple(one.inputs), tuple(one.wanted)
    loss, found = compiled(function, order, names, one.reduction)(one.inputs, one.params, one.factors(1))
    return loss, [found[name] for name in names]


def check(function, one, job):
    """A batch of two requests is what both are alone, also if each is differentiated."""
    order = tuple(one.inputs)

    def mean(wanted, inputs):
        given = {**inputs, **wanted}
        return function(*(given[name] for name in order), **one.params, reduction="mean")

    if not one.wanted:
        return []
    names = one.wanted
    each = jax.jit(jax.value_and_grad(mean))
    other = {name: np.flip(array, 0) if array.ndim > 0 else array for name, array in one.inputs.items()}
    both = {name: np.stack([array, other[name]]) for name, array in one.inputs.items()}
    loss, found = jax.jit(jax.vmap(each))({name: both[name] for name in names}, both)
    problems = []
    for place, inputs in enumerate((one.inputs, other)):
        alone = each({name: inputs[name] for name in names}, inputs)
        of_batch = (loss[place], {name: g[place] for name, g in found.items()})
        for a, b in zip(jax.tree.leaves(alone), jax.tree.leaves(of_batch), strict=True):
            if not np.allclose(a, b, rtol=1e-12, atol=1e-14, equal_nan=True):
                problems.append(f"vmap differs by {np.max(np.abs(a - b))}")
    return problems


main(call, check)
