"""Recognise handwritten digits on all ranks of an MPI job: one softmax layer, its gradients averaged.

With the launcher:  python -m launcher experiment=mpi_custom_image environment.base_image=IMAGE
By hand:            mpirun -np 2 --bind-to none python mpi_digits.py --data-folder DIGITS
Needs:              mpi4py>=4, numpy>=1.20 and an MPI library, such as Debian's libopenmpi3

The weights go to outputs/model.npz; at least 0.9 of the test images are right.
"""

from __future__ import annotations

import argparse

import mnist_data
import numpy as np
from metrics import describe_process, log_metric
from mpi4py import MPI

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--data-folder", required=True, help="folder with the four idx files")
parser.add_argument("--batch-size", type=int, default=100, help="of all ranks together")
parser.add_argument("--epochs", type=int, default=20)
parser.add_argument("--learning-rate", type=float, default=0.5)
args = parser.parse_args()

world = MPI.COMM_WORLD
rank, size = world.Get_rank(), world.Get_size()
local_rank = world.Split_type(MPI.COMM_TYPE_SHARED).Get_rank()
if args.batch_size % size:
    raise SystemExit(f"--batch-size {args.batch_size}: expected a multiple of {size}, the number of ranks")

train_images, train_labels = mnist_data.load(args.data_folder, "train")
test_images, test_labels = mnist_data.load(args.data_folder, "test")
weights = np.zeros((train_images.shape[1] + 1, 10))  # (784 pixels and a bias, 10 digits)


def with_bias(images: np.ndarray) -> np.ndarray:
    """Return `(n, 784)` images as `(n, 785)`, with a column of ones."""
    return np.hstack([images, np.ones((len(images), 1))])


def gradient(images: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, float]:
    """Return the gradient of the mean cross entropy, and that itself."""
    inputs = with_bias(images)
    scores = inputs @ weights
    scores -= scores.max(axis=1, keepdims=True)  # exp stays small
    chances = np.exp(scores)
    chances /= chances.sum(axis=1, keepdims=True)
    rows = np.arange(len(labels))
    loss = -float(np.log(chances[rows, labels]).mean())
    chances[rows, labels] -= 1.0
    return inputs.T @ chances / len(labels), loss


rng = np.random.RandomState(0)  # alike on all ranks: each takes its own part of the same batch
for epoch in range(args.epochs):
    losses = []
    for images, labels in mnist_data.batches(train_images, train_labels, args.batch_size, rng):
        own, loss = gradient(images[rank::size], labels[rank::size])
        total = np.empty_like(own)
        world.Allreduce(own, total)
        weights -= args.learning_rate / size * total
        losses.append(loss)
    mean = world.allreduce(float(np.mean(losses))) / size
    if rank == 0:
        log_metric("loss", mean, epoch)

describe_process("rank", rank, size, local_rank, [weights])
if rank == 0:
    right = (with_bias(test_images) @ weights).argmax(axis=1) == test_labels
    log_metric("test_accuracy", float(right.mean()))
    np.savez("outputs/model.npz", weights=weights)
