"""PyTorch: values and gradients, and on ordinary numbers what gradcheck and gradgradcheck say of them."""

import torch
from common import main


def tensors_of(one):
    made = {name: torch.from_numpy(array.copy()) for name, array in one.inputs.items()}
    return {name: x.requires_grad_() if name in one.wanted else x for name, x in made.items()}


def call(function, one):
    tensors = tensors_of(one)
    loss = function(*tensors.values(), **one.params, reduction=one.reduction)
    wanted = [tensors[name] for name in one.wanted]
    upstream = torch.from_numpy(one.upstream(loss)).to(loss.dtype)
    found = torch.autograd.grad(loss, wanted, upstream) if wanted else []
    return loss.detach().numpy(), [g.numpy() for g in found]


def check(function, one, job):
    """The gradient is not the slope of the value where a factor counts as a constant by definition."""
    if not one.wanted or next(iter(one.inputs.values())).dtype == "float32":
        return []
    tensors = tensors_of(one)

    def values(*wanted):
        given = {**tensors, **dict(zip(one.wanted, wanted, strict=True))}
        return function(*given.values(), **one.params, reduction="none")

    problems = []
    slopes = [] if job["isDetached"] else [torch.autograd.gradcheck]
    for tested in (*slopes, torch.autograd.gradgradcheck):
        try:
            tested(values, [tensors[name] for name in one.wanted], atol=1e-5, rtol=1e-4)
        except RuntimeError as error:
            problems.append(f"{tested.__name__}: {str(error).splitlines()[0]}")
    return problems


main(call, check)
