"""JAX: values and gradients under jit, with parameters that are traced."""

from functools import cache

import jax

jax.config.update("jax_enable_x64", True)

from common import main  # noqa: E402


@cache
def compiled(function, order, names):
    """Traced once for all cases of a source: what is compiled is most of the time that a run takes."""

    @jax.jit
    def both(inputs, params):
        def values(wanted):
            given = {**inputs, **wanted}
            return function(*(given[name] for name in order), **params, reduction="none")

        loss, pull = jax.vjp(values, {name: inputs[name] for name in names})
        return loss, pull(jax.numpy.ones_like(loss))[0]

    return both


def call(function, inputs, params, names):
    return compiled(function, tuple(inputs), tuple(names))(inputs, params)


main(call)
