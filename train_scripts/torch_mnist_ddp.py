"""Train a small network on handwritten digits with PyTorch's DistributedDataParallel.

At least 0.95 of the test images right, with any number of ranks: --batch-size counts the images of all.

With the launcher:  python -m launcher framework=pytorch distribution=torch nodes=2
By hand:            torchrun --nproc-per-node 2 torch_mnist_ddp.py --data-folder DIGITS
                    or with RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR and MASTER_PORT set for each process
Needs:              torch==2.13.0, numpy

Rank 0 writes the weights to outputs/model.pt. Without those variables one process trains alone.
"""

from __future__ import annotations

import argparse
import os

import mnist_data
import numpy as np
import torch
import torch.distributed as dist
from metrics import describe_process, log_metric
from torch import nn
from torch.nn.parallel import DistributedDataParallel

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--data-folder", required=True, help="folder with the four idx files")
parser.add_argument("--batch-size", type=int, default=200, help="images a step, over all ranks")
parser.add_argument("--first-layer-neurons", type=int, default=300)
parser.add_argument("--second-layer-neurons", type=int, default=100)
parser.add_argument("--learning-rate", type=float, default=0.003)
parser.add_argument("--epochs", type=int, default=20)
args = parser.parse_args()

rank = int(os.environ.get("RANK", "0"))
size = int(os.environ.get("WORLD_SIZE", "1"))
local_rank = int(os.environ.get("LOCAL_RANK", "0"))
device = torch.device("cpu")
if torch.cuda.is_available():
    # Every rank sees all GPUs of its node and takes one of them.
    device = torch.device("cuda", local_rank % torch.cuda.device_count())
    torch.cuda.set_device(device)
if size > 1:
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")

torch.set_num_threads(1)  # the fastest for so small a network, and ranks share the cores
torch.manual_seed(42)
rng = np.random.RandomState(42)  # the same on all ranks, see mnist_data.batches
train_images, train_labels = mnist_data.load(args.data_folder, "train")

model = nn.Sequential(
    nn.Linear(784, args.first_layer_neurons),
    nn.ReLU(),
    nn.Linear(args.first_layer_neurons, args.second_layer_neurons),
    nn.ReLU(),
    nn.Linear(args.second_layer_neurons, 10),
).to(device)
replica = DistributedDataParallel(model) if size > 1 else model  # starts from rank 0's weights
optimizer = torch.optim.Adam(model.parameters(), lr=args.learning_rate)

for epoch in range(args.epochs):
    totals = torch.zeros(3, device=device)  # loss, right answers, images
    for images, labels in mnist_data.batches(train_images, train_labels, args.batch_size, rng):
        inputs = torch.from_numpy(images[rank::size]).to(device)
        targets = torch.from_numpy(labels[rank::size]).to(device)
        logits = replica(inputs)
        loss = nn.functional.cross_entropy(logits, targets)
        optimizer.zero_grad()
        loss.backward()  # averages the gradients over the ranks on the way
        optimizer.step()
        right = (logits.argmax(dim=1) == targets).sum()
        totals += torch.stack(
            [loss.detach() * len(targets), right, torch.tensor(len(targets), device=device)]
        )
    if size > 1:
        dist.all_reduce(totals)
    if rank == 0:
        log_metric("loss", float(totals[0] / totals[2]), step=epoch)
        log_metric("accuracy", float(totals[1] / totals[2]), step=epoch)

weights = [tensor.cpu().numpy() for tensor in model.state_dict().values()]
describe_process("rank", rank, size, local_rank, weights)
if rank == 0:
    test_images, test_labels = mnist_data.load(args.data_folder, "test")
    with torch.no_grad():
        guesses = model(torch.from_numpy(test_images).to(device)).argmax(dim=1).cpu().numpy()
    log_metric("test_accuracy", (guesses == test_labels).mean())
    torch.save(model.state_dict(), "outputs/model.pt")
if size > 1:
    dist.barrier()  # nobody takes the connection down while rank 0 still works
    dist.destroy_process_group()
