"""PyTorch: values and gradients, and on ordinary numbers what gradcheck and gradgradcheck say of them."""

import torch
from common import main


def call(function, inputs, params, names):
    tensors = {name: torch.from_numpy(array.copy()) for name, array in inputs.items()}
    tensors = {
        name: tensor.requires_grad_() if name in names else tensor for name, tensor in tensors.items()
    }
    loss = function(*tensors.values(), **params, reduction="none")
    wanted = [tensors[name] for name in names]
    found = torch.autograd.grad(loss.sum(), wanted) if wanted else []
    return loss.detach().numpy(), {name: g.numpy() for name, g in zip(names, found, strict=True)}


main(call)
