"""Train a small network on handwritten digits with TensorFlow; Horovod averages the ranks' gradients.

At least 0.95 of the test images right, with any number of ranks: --batch-size counts the images of all.

With the launcher:  python -m launcher distribution=horovod nodes=2
By hand:            mpirun -np 2 --bind-to none python tf_mnist_horovod.py --data-folder DIGITS
                    horovodrun --gloo -np 2 python tf_mnist_horovod.py --data-folder DIGITS
Needs:              tensorflow-cpu==2.15.1 (or tensorflow==2.15.1 on GPUs), horovod==0.28.1

Rank 0 writes the model to outputs/model (SavedModel) and TensorBoard's events to logs.
"""

from __future__ import annotations

import argparse

import horovod.tensorflow as hvd
import mnist_data
import numpy as np
import tensorflow as tf
from metrics import describe_process, log_metric

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--data-folder", required=True, help="folder with the four idx files")
parser.add_argument("--batch-size", type=int, default=200, help="images a step, over all ranks")
parser.add_argument("--first-layer-neurons", type=int, default=300)
parser.add_argument("--second-layer-neurons", type=int, default=100)
parser.add_argument("--learning-rate", type=float, default=0.003)
parser.add_argument("--epochs", type=int, default=20)
args = parser.parse_args()

hvd.init()
rank, size = hvd.rank(), hvd.size()
is_first = rank == 0
# Every rank sees all GPUs of its node and takes one of them.
gpus = tf.config.list_physical_devices("GPU")
if gpus:
    gpu = gpus[hvd.local_rank() % len(gpus)]
    tf.config.set_visible_devices(gpu, "GPU")
    tf.config.experimental.set_memory_growth(gpu, enable=True)

tf.keras.utils.set_random_seed(42)
rng = np.random.RandomState(42)  # the same on all ranks, see mnist_data.batches
train_images, train_labels = mnist_data.load(args.data_folder, "train")

model = tf.keras.Sequential(
    [
        tf.keras.layers.Dense(args.first_layer_neurons, activation="relu", input_shape=(784,)),
        tf.keras.layers.Dense(args.second_layer_neurons, activation="relu"),
        tf.keras.layers.Dense(10),
    ]
)
optimizer = tf.keras.optimizers.Adam(args.learning_rate)
optimizer.build(model.trainable_variables)
cross_entropy = tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True)
mean_loss = tf.keras.metrics.Mean()
train_accuracy = tf.keras.metrics.SparseCategoricalAccuracy()


@tf.function
def step(images: tf.Tensor, labels: tf.Tensor) -> None:
    """Take one step on this rank's part of the batch, with the mean of all ranks' gradients."""
    with tf.GradientTape() as tape:
        logits = model(images, training=True)
        loss = cross_entropy(labels, logits)
    gradients = hvd.DistributedGradientTape(tape).gradient(loss, model.trainable_variables)
    optimizer.apply_gradients(zip(gradients, model.trainable_variables))  # noqa: B905  # Keras's idiom
    mean_loss.update_state(loss)
    train_accuracy.update_state(labels, logits)


# All ranks start from rank 0's weights, so equal steps keep them equal.
hvd.broadcast_variables(model.variables, root_rank=0)
hvd.broadcast_variables(optimizer.variables, root_rank=0)

events = tf.summary.create_file_writer("logs") if is_first else tf.summary.create_noop_writer()
for epoch in range(args.epochs):
    for images, labels in mnist_data.batches(train_images, train_labels, args.batch_size, rng):
        step(images[rank::size], labels[rank::size])
    for name, metric in (("loss", mean_loss), ("accuracy", train_accuracy)):
        value = float(hvd.allreduce(metric.result()))
        metric.reset_state()
        if is_first:
            log_metric(name, value, step=epoch)
            with events.as_default():
                tf.summary.scalar(name, value, step=epoch)

describe_process("rank", rank, size, hvd.local_rank(), model.get_weights())
if is_first:
    test_images, test_labels = mnist_data.load(args.data_folder, "test")
    right = np.argmax(model.predict(test_images, verbose=0), axis=1) == test_labels
    log_metric("test_accuracy", right.mean())
    events.close()
    model.export("outputs/model")
hvd.shutdown()
