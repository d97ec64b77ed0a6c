import os, sys, time
from pathlib import Path
from launcher import log_metric

mode = sys.argv[sys.argv.index("--mode") + 1] if "--mode" in sys.argv else "done"
rank = os.environ.get("RANK", "0")
print(f"rank {rank}: {mode}", flush=True)
for step in range(3):
    log_metric("loss", 1 / (step + 1), step=step)
Path("outputs", f"model-{rank}.txt").write_text("weights")
Path("logs", "notes.txt").write_text("of the script")
if mode == "fail" and rank != "1":
    sys.exit("it broke")
if mode == "fail" or (mode == "hold" and "HOLD" in os.environ):
    time.sleep(600)
