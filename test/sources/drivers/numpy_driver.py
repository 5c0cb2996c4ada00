"""NumPy: a function returns its loss and the gradients in the order of the inputs, and takes none from outside."""

from common import main


def call(function, one):
    return function(*one.inputs.values(), **one.params, reduction=one.reduction)


main(call, weighted=False)
