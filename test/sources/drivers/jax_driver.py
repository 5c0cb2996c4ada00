"""JAX: values and gradients under jit, with parameters that are traced."""

from functools import partial

import jax

jax.config.update("jax_enable_x64", True)

from common import main  # noqa: E402


def call(function, inputs, params, names):
    others = {name: array for name, array in inputs.items() if name not in names}

    @partial(jax.jit)
    def both(wanted, params):
        def values(wanted):
            given = {**wanted, **others}
            return function(*(given[name] for name in inputs), **params, reduction="none")

        loss, pull = jax.vjp(values, wanted)
        return loss, pull(jax.numpy.ones_like(loss))[0]

    loss, gradients = both({name: inputs[name] for name in names}, params)
    return loss, gradients


main(call)
