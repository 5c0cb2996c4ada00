"""Keras on TensorFlow, JAX and PyTorch: KERAS_BACKEND says on which. Values and gradients."""

import keras
from common import main

keras.config.set_floatx("float64")
BACKEND = keras.backend.backend()


def with_tensorflow(values, wanted):
    import tensorflow as tf

    wanted = [tf.constant(array) for array in wanted]
    with tf.GradientTape() as tape:
        tape.watch(wanted)
        loss = values(*wanted)
    return loss, tape.gradient(loss, wanted)


def with_jax(values, wanted):
    import jax

    loss, pull = jax.vjp(jax.jit(values), *wanted)
    return loss, pull(jax.numpy.ones_like(loss))


def with_torch(values, wanted):
    import torch

    wanted = [torch.from_numpy(array.copy()).requires_grad_() for array in wanted]
    loss = values(*wanted)
    return loss.detach(), torch.autograd.grad(loss.sum(), wanted)


def call(function, inputs, params, names):
    def values(*wanted):
        given = {**inputs, **dict(zip(names, wanted, strict=True))}
        return function(*(given[name] for name in inputs), **params, reduction="none")

    wanted = [inputs[name] for name in names]
    if wanted:
        loss, found = globals()[f"with_{BACKEND}"](values, wanted)
    else:
        loss, found = keras.ops.stop_gradient(values()), []
    numpy = keras.ops.convert_to_numpy
    return numpy(loss), {name: numpy(g) for name, g in zip(names, found, strict=True)}


if BACKEND == "jax":
    import jax

    jax.config.update("jax_enable_x64", True)
main(call)
