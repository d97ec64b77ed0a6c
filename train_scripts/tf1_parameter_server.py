"""Train a small network on handwritten digits in TensorFlow 1's own way: parameter servers, no chief.

At least 0.95 of the test images right. TF_CONFIG names parameter servers and workers only; worker 0 starts
the session, tests and saves. The workers learn asynchronously and end by themselves; the parameter servers
serve until they are ended, which the launcher does when all workers are done.

With the launcher:  python -m launcher distribution=parameter_server distribution.chief=none nodes=2
                    script=tf1_parameter_server.py framework.version=1.15.5
By hand:            one process for each task, each with its own TF_CONFIG, here worker 0:
                    TF_CONFIG='{"cluster": {"ps": ["host0:2222"], "worker": ["host0:2223", "host1:2223"]},
                    "task": {"type": "worker", "index": 0}, "environment": "cloud"}'
                    python tf1_parameter_server.py --data-folder DIGITS
Needs:              Python 3.7, tensorflow==1.15.5, protobuf<3.21

Worker 0 writes the model to outputs/model (SavedModel), checkpoints to outputs/checkpoints and
TensorBoard's events to logs.
"""

from __future__ import annotations

import argparse
import json
import os

import mnist_data
import numpy as np
import tensorflow as tf
from metrics import describe_process, log_metric

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--data-folder", required=True, help="folder with the four idx files")
parser.add_argument("--batch-size", type=int, default=100, help="images a step, on one worker")
parser.add_argument("--first-layer-neurons", type=int, default=300)
parser.add_argument("--second-layer-neurons", type=int, default=100)
parser.add_argument("--learning-rate", type=float, default=0.3)
parser.add_argument("--epochs", type=int, default=25, help="passes over the images, by all workers together")
args = parser.parse_args()

tf.compat.v1.logging.set_verbosity(tf.compat.v1.logging.ERROR)  # 1.15 calls its own API deprecated
config = json.loads(os.environ["TF_CONFIG"])
role, index = config["task"]["type"], config["task"]["index"]
cluster = tf.train.ClusterSpec(config["cluster"])
size = cluster.num_tasks(role)
is_first = role == "worker" and index == 0
# A worker talks to the parameter servers only, so it need not wait for the other workers.
options = tf.ConfigProto(device_filters=["/job:ps", f"/job:{role}/task:{index}"])
server = tf.train.Server(
    cluster, job_name=role, task_index=index, config=options if role == "worker" else None
)
if role == "ps":
    describe_process(role, index, size)
    server.join()  # never returns

train_images, train_labels = mnist_data.load(args.data_folder, "train")
steps_an_epoch = len(train_images) // args.batch_size  # 4,000 images / 100 = 40
rng = np.random.RandomState(42 + index)  # every worker draws from all images, in an order of its own
tf.set_random_seed(42)

# The variables go to the parameter servers in turn, everything else stays on this worker.
with tf.device(tf.train.replica_device_setter(cluster=cluster, worker_device=f"/job:worker/task:{index}")):
    step = tf.train.get_or_create_global_step()
    images = tf.placeholder(tf.float32, (None, 784), name="images")
    labels = tf.placeholder(tf.int64, (None,), name="labels")
    first = tf.layers.dense(images, args.first_layer_neurons, tf.nn.relu)
    second = tf.layers.dense(first, args.second_layer_neurons, tf.nn.relu)
    logits = tf.layers.dense(second, 10, name="logits")
    loss = tf.losses.sparse_softmax_cross_entropy(labels, logits)
    accuracy = tf.reduce_mean(tf.cast(tf.equal(tf.argmax(logits, axis=1), labels), tf.float32))
    train = tf.train.GradientDescentOptimizer(args.learning_rate).minimize(loss, global_step=step)
tf.summary.scalar("loss", loss)
tf.summary.scalar("accuracy", accuracy)

epoch = 0
results = []
with tf.train.MonitoredTrainingSession(
    master=server.target,
    is_chief=is_first,
    checkpoint_dir="outputs/checkpoints" if is_first else None,
    summary_dir="logs",
    hooks=[tf.train.StopAtStepHook(last_step=args.epochs * steps_an_epoch)],
    save_summaries_steps=steps_an_epoch,
    save_summaries_secs=None,
    config=options,
    stop_grace_period_secs=5,
) as session:
    while not session.should_stop():
        for batch, digits in mnist_data.batches(train_images, train_labels, args.batch_size, rng):
            if session.should_stop():
                break
            _, now, *result = session.run([train, step, loss, accuracy], {images: batch, labels: digits})
            results.append(result)
            # The step counts all workers' work; worker 0 tells about its own share of each epoch.
            if is_first and now // steps_an_epoch > epoch:
                mean_loss, mean_accuracy = np.mean(results, axis=0)
                log_metric("loss", mean_loss, step=epoch)
                log_metric("accuracy", mean_accuracy, step=epoch)
                epoch, results = now // steps_an_epoch, []

if not is_first:
    describe_process(role, index, size)
else:
    # The parameter servers still hold the weights; a plain session reads them.
    test_images, test_labels = mnist_data.load(args.data_folder, "test")
    with tf.Session(server.target, config=options) as session:
        describe_process(role, index, size, weights=session.run(tf.trainable_variables()))
        log_metric("test_accuracy", session.run(accuracy, {images: test_images, labels: test_labels}))
        tf.saved_model.simple_save(session, "outputs/model", {"images": images}, {"logits": logits})
