"""Train a small network on handwritten digits with TensorFlow's MultiWorkerMirroredStrategy and Keras's fit.

At least 0.95 of the test images right, with any number of workers: --batch-size counts the images of all.
TF_CONFIG names the workers; without it one process trains alone.

With the launcher:  python -m launcher distribution=multi_worker nodes=2
By hand:            one process for each worker, each with its own TF_CONFIG, here worker 0:
                    TF_CONFIG='{"cluster": {"worker": ["host0:2222", "host1:2222"]},
                    "task": {"type": "worker", "index": 0}}'
                    python tf_mnist_multi_worker.py --data-folder DIGITS
Needs:              tensorflow-cpu==2.15.1 (or tensorflow==2.15.1 on GPUs)

Worker 0 writes the model to outputs/model (SavedModel) and TensorBoard's events to logs.
"""

from __future__ import annotations

import argparse

import mnist_data
import numpy as np
import tensorflow as tf
from metrics import describe_process, log_metric

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--data-folder", required=True, help="folder with the four idx files")
parser.add_argument("--batch-size", type=int, default=200, help="images a step, over all workers")
parser.add_argument("--first-layer-neurons", type=int, default=300)
parser.add_argument("--second-layer-neurons", type=int, default=100)
parser.add_argument("--learning-rate", type=float, default=0.003)
parser.add_argument("--epochs", type=int, default=20)
args = parser.parse_args()

strategy = tf.distribute.MultiWorkerMirroredStrategy()  # before anything else of TensorFlow
resolver = strategy.cluster_resolver
index = resolver.task_id or 0
size = max(1, resolver.cluster_spec().num_tasks("worker") if resolver.cluster_spec() else 1)
is_first = index == 0

tf.keras.utils.set_random_seed(42)
rng = np.random.RandomState(42)  # the same on all workers, see mnist_data.batches
train_images, train_labels = mnist_data.load(args.data_folder, "train")
steps = len(train_images) // args.batch_size  # 4,000 images / 200 = 20 an epoch


def build_model() -> tf.keras.Model:
    """Return the untrained network."""
    return tf.keras.Sequential(
        [
            tf.keras.layers.Dense(args.first_layer_neurons, activation="relu", input_shape=(784,)),
            tf.keras.layers.Dense(args.second_layer_neurons, activation="relu"),
            tf.keras.layers.Dense(10),
        ]
    )


# Every worker reads the same batches; DATA makes TensorFlow give each its own part of them.
options = tf.data.Options()
options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
train = tf.data.Dataset.from_generator(
    lambda: mnist_data.batches(train_images, train_labels, args.batch_size, rng),
    output_signature=(tf.TensorSpec((None, 784)), tf.TensorSpec((None,), tf.int64)),
)
train = train.repeat().with_options(options)

with strategy.scope():
    model = build_model()
    model.compile(
        optimizer=tf.keras.optimizers.Adam(args.learning_rate),
        loss=tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )


def log_epoch(epoch: int, logs: dict[str, float]) -> None:
    """Pass Keras's own figures on."""
    log_metric("loss", logs["loss"], step=epoch)
    log_metric("accuracy", logs["accuracy"], step=epoch)


callbacks = []
if is_first:
    callbacks = [
        tf.keras.callbacks.TensorBoard("logs"),
        tf.keras.callbacks.LambdaCallback(on_epoch_end=log_epoch),
    ]
model.fit(train, steps_per_epoch=steps, epochs=args.epochs, callbacks=callbacks, verbose=0)
describe_process("worker", index, size, weights=model.get_weights())

if is_first:
    # A model outside the strategy is tested and saved by one worker alone; a mirrored one needs all of them.
    trained = build_model()
    trained.set_weights(model.get_weights())
    test_images, test_labels = mnist_data.load(args.data_folder, "test")
    guesses = np.argmax(trained.predict(test_images, verbose=0), axis=1)
    log_metric("test_accuracy", (guesses == test_labels).mean())
    trained.export("outputs/model")
