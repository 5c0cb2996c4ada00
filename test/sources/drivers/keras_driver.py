"""Keras on TensorFlow, JAX and PyTorch: KERAS_BACKEND says on which. Values and gradients."""

import keras
from common import main

keras.config.set_floatx("float64")
BACKEND = keras.backend.backend()


def with_tensorflow(values, wanted, upstream):
    import tensorflow as tf

    wanted = [tf.constant(array) for array in wanted]
    with tf.GradientTape() as tape:
        tape.watch(wanted)
        loss = values(*wanted)
    return loss, tape.gradient(loss, wanted, tf.constant(upstream(loss)))


def with_jax(values, wanted, upstream):
    import jax

    loss, pull = jax.vjp(jax.jit(values), *wanted)
    return loss, pull(jax.numpy.asarray(upstream(loss)))


def with_torch(values, wanted, upstream):
    import torch

    wanted = [torch.from_numpy(array.copy()).requires_grad_() for array in wanted]
    loss = values(*wanted)
    return loss.detach(), torch.autograd.grad(loss, wanted, torch.from_numpy(upstream(loss)))


def call(function, one):
    def values(*wanted):
        given = {**one.inputs, **dict(zip(one.wanted, wanted, strict=True))}
        return function(*(given[name] for name in one.inputs), **one.params, reduction=one.reduction)

    wanted = [one.inputs[name] for name in one.wanted]
    if wanted:
        loss, found = globals()[f"with_{BACKEND}"](values, wanted, one.upstream)
    else:
        loss, found = keras.ops.stop_gradient(values()), []
    return keras.ops.convert_to_numpy(loss), [keras.ops.convert_to_numpy(g) for g in found]


if BACKEND == "jax":
    import jax

    jax.config.update("jax_enable_x64", True)
main(call)
