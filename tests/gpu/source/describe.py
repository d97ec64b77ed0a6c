"""Write which GPUs this process sees."""

import json
import os
from pathlib import Path

import torch

found = {"visible": os.environ.get("CUDA_VISIBLE_DEVICES"), "count": torch.cuda.device_count()}
Path("outputs/seen.json").write_text(json.dumps(found), encoding="utf-8")
