"""The results of TensorFlow Addons' losses with their defaults, in float32. Needs tensorflow-addons 0.23 and tensorflow 2.15."""

import numpy as np
import tensorflow as tf
import tensorflow_addons as tfa

import presets as p

SOURCE = f"tensorflow-addons {tfa.__version__} on tensorflow {tf.__version__}, GradientTape, float32"


def run(function, module, cases):
    """A function and its class, which return the same result."""
    made = []
    for identity, inputs in cases.items():
        for name, call in [(function, getattr(tfa.losses, function)), (module, getattr(tfa.losses, module)())]:
            embeddings = tf.Variable(inputs["embeddings"].astype(np.float32))
            with tf.GradientTape() as tape:
                value = call(tf.constant(inputs["labels"]), embeddings)
            slope = tape.gradient(value, embeddings)
            made.append(p.case("triplet_batch", f"tfa.losses.{name}", identity, SOURCE, inputs, value.numpy(), {"embeddings": slope.numpy()}))
    return made


def cases():
    every = {"plain": p.SCATTERED, "gathered": p.GATHERED}
    alone = {"row": p.ROWS, "singles": p.SINGLES, "one": p.ONE_CLASS}
    return [
        *run("triplet_semihard_loss", "TripletSemiHardLoss", {**every, **{f"{key}-semihard": one for key, one in alone.items()}}),
        *run("triplet_hard_loss", "TripletHardLoss", {**every, **{f"{key}-hard": one for key, one in alone.items()}}),
    ]


if __name__ == "__main__":
    p.write("tfa", cases())
