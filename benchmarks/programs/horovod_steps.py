"""Trains a small network on random images with Horovod; rank 0 prints images a second.

Of many short windows the fastest tenth counts, as `timeit` takes the fastest: what other work on the
machine took away is nobody's overhead, while a launcher that is in the way is so in every window.
"""

import sys
import time

import horovod.tensorflow as hvd
import tensorflow as tf

BATCH, STEPS_AT_ONCE = 256, 5  # a window of some 80 ms on two slow cores

hvd.init()
tf.config.threading.set_intra_op_parallelism_threads(1)
tf.config.threading.set_inter_op_parallelism_threads(1)
tf.keras.utils.set_random_seed(42)
images = tf.random.normal((BATCH, 784))
labels = tf.random.uniform((BATCH,), maxval=10, dtype=tf.int32)
model = tf.keras.Sequential(
    [
        tf.keras.layers.Dense(300, activation="relu", input_shape=(784,)),
        tf.keras.layers.Dense(100, activation="relu"),
        tf.keras.layers.Dense(10),
    ]
)
optimizer = tf.keras.optimizers.SGD(0.01)
cross_entropy = tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True)


@tf.function
def train() -> None:
    """Take some steps on the same batch."""
    for _ in range(STEPS_AT_ONCE):
        with tf.GradientTape() as tape:
            loss = cross_entropy(labels, model(images, training=True))
        gradients = hvd.DistributedGradientTape(tape).gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables))  # noqa: B905  # Keras's idiom


hvd.broadcast_variables(model.variables, root_rank=0)
for _ in range(3):  # tracing, and the first negotiation of each tensor
    train()
windows: list[float] = []
for _ in range(int(sys.argv[-1])):
    started = time.perf_counter()
    train()
    windows.append(time.perf_counter() - started)
if hvd.rank() == 0:
    took = sorted(windows)[len(windows) // 10]
    print(f"python {sys.executable} images/s {STEPS_AT_ONCE * BATCH * hvd.size() / took:.1f}", flush=True)
hvd.shutdown()
