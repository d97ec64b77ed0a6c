"""Train a small convolutional network on generated pictures: a bright square in one of four corners.

With RANK and WORLD_SIZE set, the ranks average their gradients through NCCL.
"""

import argparse
import hashlib
import json
import os
import time
from pathlib import Path

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--seed", type=int, default=0)
parser.add_argument("--steps", type=int, default=300)
args = parser.parse_args()

began = time.time()
rank = int(os.environ.get("RANK", "0"))
local_rank = int(os.environ.get("LOCAL_RANK", "0"))
device = torch.device("cuda", local_rank)
torch.cuda.set_device(device)
if "RANK" in os.environ:
    dist.init_process_group("nccl", device_id=device)
torch.manual_seed(args.seed)


def pictures(count: int) -> "tuple[torch.Tensor, torch.Tensor]":
    """Return pictures `(count, 1, 28, 28)` and the corner of each `(count,)`."""
    labels = torch.randint(4, (count,), device=device)
    images = torch.rand(count, 1, 28, 28, device=device)
    for corner in range(4):
        row, column = 14 * (corner // 2), 14 * (corner % 2)
        images[labels == corner, :, row + 4 : row + 10, column + 4 : column + 10] += 0.5
    return images, labels


model = nn.Sequential(
    nn.Conv2d(1, 16, 5, stride=2),
    nn.ReLU(),
    nn.Conv2d(16, 32, 5, stride=2),
    nn.ReLU(),
    nn.Flatten(),
    nn.Linear(512, 4),
).to(device)
replica = DistributedDataParallel(model, device_ids=[local_rank]) if dist.is_initialized() else model
optimizer = torch.optim.Adam(model.parameters(), lr=0.003)
torch.manual_seed(args.seed + 1000 * (rank + 1))  # other pictures on every rank
for _ in range(args.steps):
    images, labels = pictures(256)
    loss = nn.functional.cross_entropy(replica(images), labels)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()

images, labels = pictures(4096)
with torch.no_grad():
    accuracy = float((model(images).argmax(dim=1) == labels).float().mean())
digest = hashlib.sha256()
for tensor in model.state_dict().values():
    digest.update(tensor.cpu().numpy().tobytes())
found = {
    "device": str(device),
    "name": torch.cuda.get_device_name(device),
    "accuracy": accuracy,
    "weights": digest.hexdigest(),
    "backend": dist.get_backend() if dist.is_initialized() else None,
    "nccl": ".".join(map(str, torch.cuda.nccl.version())),
    "began": began,
    "ended": time.time(),
}
Path("outputs").mkdir(exist_ok=True)
Path("outputs", f"rank-{rank}.json").write_text(json.dumps(found), encoding="utf-8")
if dist.is_initialized():
    dist.destroy_process_group()
