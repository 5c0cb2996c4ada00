"""Reference values for divergences. Needs torch 2.15 and torchmetrics 1.9.0."""

from torchmetrics.functional.regression import jensen_shannon_divergence

from cases import case, exact, rng, write


def js_div():
    def loss(predictions, targets):
        return jensen_shannon_divergence(predictions, targets, reduction="none")

    cases = []
    for seed, shape in enumerate([(6, 5), (4, 3)]):
        inputs = {key: exact(rng(seed).dirichlet([spread] * shape[1], shape[0])) for key, spread in (("predictions", 1), ("targets", 2))}
        cases.append(case("js_div", "torchmetrics 1.9.0 jensen_shannon_divergence", loss, inputs, differentiable=("predictions", "targets")))
    return cases


if __name__ == "__main__":
    write("js_div", js_div())
