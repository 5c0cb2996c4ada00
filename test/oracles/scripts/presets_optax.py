"""The results of optax's losses with their defaults, in float64. Needs optax 0.2.8 and jax 0.10."""

import jax

jax.config.update("jax_enable_x64", True)

import jax.numpy as jnp
import numpy as np
import optax

import presets as p

SOURCE = f"optax {optax.__version__} on jax {jax.__version__}, grad"


def run(name, loss, cases, call=lambda f, **inputs: f(*inputs.values())):
    """A function under every name by which optax exports it: the value, and the gradients of its sum."""
    paths = [path for path in [f"optax.losses.{name}", f"optax.{name}"] if find(path) is not None]
    made = []
    for path in paths:
        function = find(path)
        for identity, inputs in cases.items():
            arrays = {key: jnp.array(value) for key, value in inputs.items()}
            wants = [key for key in p.differentiable(loss) if jnp.issubdtype(arrays[key].dtype, jnp.floating)]
            moving = {key: arrays[key] for key in wants}
            summed = lambda moving: call(function, **{**arrays, **moving}).sum()
            gradients = {key: np.asarray(slope) for key, slope in jax.grad(summed)(moving).items()}
            value = np.asarray(call(function, **arrays))
            made.append(p.case(loss, path, identity, SOURCE, inputs, value, gradients))
    return made


def find(path):
    """No default: `optax.losses` warns about attributes that do not exist."""
    module = optax.losses if path.startswith("optax.losses.") else optax
    return getattr(module, path.split(".")[-1]) if path.split(".")[-1] in dir(module) else None


def classes_last(f, predictions, targets):
    """In optax the classes come last, here second."""
    return f(jnp.moveaxis(predictions, 1, -1), jnp.moveaxis(targets, 1, -1))


def binary(f, predictions, targets):
    """A single class, for which optax has no axis."""
    return f(predictions[:, 0, :, None], targets[:, 0, :, None])


def ctc(f, predictions, targets, input_lengths, target_lengths):
    """Paddings are 1 after the lengths."""
    steps = jnp.arange(predictions.shape[1]) >= input_lengths[:, None]
    labels = jnp.arange(targets.shape[1]) >= target_lengths[:, None]
    return f(predictions, steps.astype(float), targets, labels.astype(float))


def listwise(f, predictions, targets, mask=None):
    return f(predictions, targets, where=None if mask is None else mask == 1)


def fenchel_young(f, predictions, targets):
    return f(jax.nn.logsumexp)(predictions, targets)


def last(cases):
    """Three axes, the classes last."""
    return {**cases, "map": p.named("predictions targets", p.real(110, 2, 3, 4), p.simplex(111, 2, 3, 4))}


ONE_CLASS = {key: {name: value[:, :1] for name, value in case.items()} for key, case in p.REGIONS.items()}
EMPTY = p.pairs(empty=(p.array([[[-1e3, -1e3]]]), p.array([[[0.0, 0]]])))
TWO_CLASSES = {"plain": p.REGIONS["plain"], "tall": p.pairs(tall=(p.real(112, 2, 3, 4), p.bits(113, 2, 3, 4)))["tall"]}
SINGLE_ROW = {"row": {name: value[:1] for name, value in p.REGIONS["plain"].items()}}
MASKED = p.pairs(masked=(p.array([[-np.inf, 1.0, 2]]), p.array([[0, 1.0, 0]])))
QUANTITIES = p.pairs(plain=(p.real(114, 4, 3), np.abs(p.real(115, 4, 3))), zero=(p.array([[0.5, -1.0]]), p.array([[0.0, 2]])))
LOG_TARGETS = p.pairs(plain=(np.log(p.simplex(116, 4, 3)), np.log(p.simplex(117, 4, 3))))
SPELLED = p.pairs(plain=(p.real(118, 4, 3), p.simplex(119, 4, 3)))
ZERO_ONE = p.pairs(plain=(p.real(120, 4, 3), p.bits(121, 4, 3)), corner=(p.array([[1.0, -1, 0]]), p.array([[1.0, 0, 1]])))
AT_ZERO = p.pairs(zero=(p.array([[0.0]]), p.array([[1.0]])))


def cases():
    reals = {**p.REALS, **p.FAR, **p.EQUAL}
    scores = {**p.SCORES, **p.AT_MARGIN}
    return [
        *run("squared_error", "mse", reals),
        *run("l2_loss", "half_squared", reals),
        *run("huber_loss", "huber", reals),
        *run("log_cosh", "log_cosh", reals),
        *run("sigmoid_binary_cross_entropy", "binary_cross_entropy_with_logits", p.LOGITS),
        *run("sigmoid_focal_loss", "sigmoid_focal", p.LOGITS),
        *run("hinge_loss", "hinge", scores),
        *run("perceptron_loss", "perceptron", {**p.SCORES, **AT_ZERO}),
        *run("sparsemax_loss", "sparsemax", ZERO_ONE),
        *run("multiclass_hinge_loss", "crammer_singer", {**p.INDICES, **p.TIED}),
        *run("multiclass_perceptron_loss", "multiclass_perceptron", {**p.INDICES, **p.TIED}),
        *run("multiclass_sparsemax_loss", "multiclass_sparsemax", {**p.INDICES, **p.TIED}),
        *run("make_fenchel_young_loss", "fenchel_young", SPELLED, fenchel_young),
        *run("softmax_cross_entropy", "cross_entropy", last(p.SHARES)),
        *run("safe_softmax_cross_entropy", "cross_entropy", {**last(p.SHARES), **MASKED}),
        *run("softmax_cross_entropy_with_integer_labels", "cross_entropy", {**p.INDICES, "map": p.named("predictions targets", p.real(122, 2, 3, 4), p.classes(123, 4, 2, 3))}),
        *run("poly_loss_cross_entropy", "poly1_cross_entropy", {**p.SHARES, **MASKED}),
        *run("kl_divergence", "kl_div", p.LOGPROBS),
        *run("kl_divergence_with_log_targets", "kl_div", LOG_TARGETS),
        *run("generalized_kl_divergence", "generalized_kl_div", QUANTITIES),
        *run("convex_kl_divergence", "generalized_kl_div", QUANTITIES),
        *run("cosine_similarity", "cosine_similarity", p.VECTORS),
        *run("cosine_distance", "cosine_similarity", p.VECTORS),
        *run("triplet_margin_loss", "triplet_margin", p.TRIPLETS),
        *run("ntxent", "nt_xent", {"plain": p.ROWS, "gathered": p.GATHERED, "origin": p.AT_ORIGIN, "one": p.ONE_CLASS, "singles": p.SINGLES}),
        *run("ranking_softmax_loss", "softmax_ranking", p.LISTS, listwise),
        *run("dice_loss", "dice", TWO_CLASSES, classes_last),
        *run("binary_dice_loss", "dice", {**ONE_CLASS, **EMPTY}, binary),
        *run("multiclass_generalized_dice_loss", "generalized_dice", {**TWO_CLASSES, **SINGLE_ROW}, classes_last),
        *run("ctc_loss", "ctc", p.SEQUENCES, ctc),
    ]


if __name__ == "__main__":
    p.write("optax", cases())
