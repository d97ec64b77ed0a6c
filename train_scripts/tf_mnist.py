"""Train a small network on handwritten digits with TensorFlow: at least 0.95 of the test images right.

With the launcher:  python -m launcher args.learning-rate=0.001
By hand:            python tf_mnist.py --data-folder DIGITS --epochs 20
Needs:              tensorflow-cpu==2.15.1 (or tensorflow==2.15.1 on GPUs)

The model goes to outputs/model (SavedModel), TensorBoard's events to logs.
"""

from __future__ import annotations

import argparse

import mnist_data
import numpy as np
import tensorflow as tf
from metrics import log_metric

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--data-folder", required=True, help="folder with the four idx files")
parser.add_argument("--batch-size", type=int, default=200)
parser.add_argument("--first-layer-neurons", type=int, default=300)
parser.add_argument("--second-layer-neurons", type=int, default=100)
parser.add_argument("--learning-rate", type=float, default=0.003)
parser.add_argument("--epochs", type=int, default=20)
args = parser.parse_args()

tf.keras.utils.set_random_seed(42)
rng = np.random.RandomState(42)
train_images, train_labels = mnist_data.load(args.data_folder, "train")
test_images, test_labels = mnist_data.load(args.data_folder, "test")
steps = len(train_images) // args.batch_size  # 4,000 images / 200 = 20 an epoch

# Each pass over the generator is a new epoch, with the images in another order and moved a little.
train = tf.data.Dataset.from_generator(
    lambda: mnist_data.batches(train_images, train_labels, args.batch_size, rng),
    output_signature=(tf.TensorSpec((None, 784)), tf.TensorSpec((None,), tf.int64)),
).apply(tf.data.experimental.assert_cardinality(steps))

model = tf.keras.Sequential(
    [
        tf.keras.layers.Dense(args.first_layer_neurons, activation="relu", input_shape=(784,)),
        tf.keras.layers.Dense(args.second_layer_neurons, activation="relu"),
        tf.keras.layers.Dense(10),
    ]
)
model.compile(
    optimizer=tf.keras.optimizers.Adam(args.learning_rate),
    loss=tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    metrics=["accuracy"],
)


def log_epoch(epoch: int, logs: dict[str, float]) -> None:
    """Pass Keras's own figures on."""
    log_metric("loss", logs["loss"], step=epoch)
    log_metric("accuracy", logs["accuracy"], step=epoch)


callbacks = [
    tf.keras.callbacks.TensorBoard("logs"),
    tf.keras.callbacks.LambdaCallback(on_epoch_end=log_epoch),
]
model.fit(train, epochs=args.epochs, callbacks=callbacks, verbose=0)
_, accuracy = model.evaluate(test_images, test_labels, verbose=0)
log_metric("test_accuracy", accuracy)
model.export("outputs/model")
