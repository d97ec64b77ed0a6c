"""Train a small network on handwritten digits with TensorFlow 2's parameter servers, asynchronously.

At least 0.95 of the test images right. The chief hands out steps, the workers compute them, the parameter
servers hold the weights. TF_CONFIG tells each process which it is; workers and parameter servers serve until
they are ended, which the launcher does when the chief is done.

With the launcher:  python -m launcher distribution=parameter_server nodes=2
By hand:            one process for each task, each with its own TF_CONFIG, here worker 0:
                    TF_CONFIG='{"cluster": {"chief": ["host0:2221"], "worker": ["host0:2222", "host1:2222"],
                    "ps": ["host0:2223"]}, "task": {"type": "worker", "index": 0}}'
                    python tf_mnist_parameter_server.py --data-folder DIGITS
Needs:              tensorflow-cpu==2.15.1 (or tensorflow==2.15.1 on GPUs)

The chief writes the model to outputs/model (SavedModel) and TensorBoard's events to logs.
"""

from __future__ import annotations

import argparse

import mnist_data
import numpy as np
import tensorflow as tf
from metrics import describe_process, log_metric

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--data-folder", required=True, help="folder with the four idx files")
parser.add_argument("--batch-size", type=int, default=100, help="images a step, on one worker")
parser.add_argument("--first-layer-neurons", type=int, default=300)
parser.add_argument("--second-layer-neurons", type=int, default=100)
parser.add_argument("--learning-rate", type=float, default=0.002)
parser.add_argument("--epochs", type=int, default=20)
args = parser.parse_args()

resolver = tf.distribute.cluster_resolver.TFConfigClusterResolver()
cluster = resolver.cluster_spec().as_dict()
role, index = resolver.task_type, resolver.task_id
if not {"chief", "worker", "ps"} <= set(cluster):
    parser.error(f"TF_CONFIG must name a chief, workers and parameter servers; it names {sorted(cluster)}")

if role in ("worker", "ps"):
    describe_process(role, index, len(cluster[role]))
    server = tf.distribute.Server(
        resolver.cluster_spec(), job_name=role, task_index=index, protocol=resolver.rpc_layer or "grpc"
    )
    server.join()  # never returns

tf.keras.utils.set_random_seed(42)
train_images, train_labels = mnist_data.load(args.data_folder, "train")
# These travel to the workers inside the graph, as bytes: 4,000 * 784 = 3 MB.
train_pixels = np.rint(train_images * 255).astype(np.uint8)
steps = len(train_images) // args.batch_size  # 4,000 images / 100 = 40 an epoch

strategy = tf.distribute.ParameterServerStrategy(resolver)
coordinator = tf.distribute.coordinator.ClusterCoordinator(strategy)


def build_model() -> tf.keras.Model:
    """Return the untrained network."""
    return tf.keras.Sequential(
        [
            tf.keras.layers.Dense(args.first_layer_neurons, activation="relu", input_shape=(784,)),
            tf.keras.layers.Dense(args.second_layer_neurons, activation="relu"),
            tf.keras.layers.Dense(10),
        ]
    )


def prepare(pixels: tf.Tensor, label: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Move one image by up to one pixel, which is worth 2 % of test accuracy on 4,000 images."""
    padded = tf.pad(tf.reshape(pixels, (28, 28)), ((1, 1), (1, 1)))
    moved = tf.reshape(tf.image.random_crop(padded, (28, 28)), (784,))
    return tf.cast(moved, tf.float32) / 255.0, label


def read_data() -> tf.data.Dataset:
    """Return one worker's endless input; every worker draws from all images, in an order of its own."""
    data = tf.data.Dataset.from_tensor_slices((train_pixels, train_labels))
    return data.shuffle(len(train_pixels)).repeat().map(prepare).batch(args.batch_size).prefetch(2)


# Falls to zero, for the workers' steps are noisy: each starts from weights that the others are changing.
learning_rate = tf.keras.optimizers.schedules.PolynomialDecay(args.learning_rate, steps * args.epochs, 0.0)
with strategy.scope():
    model = build_model()
    optimizer = tf.keras.optimizers.Adam(learning_rate)
    optimizer.build(model.trainable_variables)


@tf.function
def step(iterator: tf.data.Iterator) -> tuple[tf.Tensor, tf.Tensor]:
    """Take one step on one worker; return its loss and accuracy."""
    return strategy.run(learn, args=next(iterator))


def learn(images: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Compute one batch's gradients and apply them to the weights on the parameter servers."""
    with tf.GradientTape() as tape:
        logits = model(images, training=True)
        loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits))
    gradients = tape.gradient(loss, model.trainable_variables)
    optimizer.apply_gradients(zip(gradients, model.trainable_variables))  # noqa: B905  # Keras's idiom
    right = tf.equal(tf.argmax(logits, axis=1), labels)
    return loss, tf.reduce_mean(tf.cast(right, tf.float32))


iterator = iter(coordinator.create_per_worker_dataset(read_data))
events = tf.summary.create_file_writer("logs")
for epoch in range(args.epochs):
    results = [coordinator.schedule(step, args=(iterator,)) for _ in range(steps)]
    coordinator.join()
    means = np.mean([result.fetch() for result in results], axis=0)
    for name, value in zip(("loss", "accuracy"), means, strict=True):
        log_metric(name, value, step=epoch)
        with events.as_default():
            tf.summary.scalar(name, value, step=epoch)
events.close()

# The trained weights lie on the parameter servers; a model of the same shape takes them home.
trained = build_model()
trained.set_weights(model.get_weights())
describe_process("chief", 0, 1, weights=trained.get_weights())
test_images, test_labels = mnist_data.load(args.data_folder, "test")
guesses = np.argmax(trained.predict(test_images, verbose=0), axis=1)
log_metric("test_accuracy", (guesses == test_labels).mean())
trained.export("outputs/model")
