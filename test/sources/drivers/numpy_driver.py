"""NumPy: a function returns its loss and the gradients in the order of the inputs."""

from common import main


def call(function, inputs, params, names):
    values, gradients = function(*inputs.values(), **params, reduction="none")
    return values, dict(zip(names, gradients, strict=True))


main(call)
