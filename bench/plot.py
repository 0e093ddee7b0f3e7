"""Draws the curves that bench/curves.mjs measured: python bench/plot.py curves.json FOLDER"""

import json
import sys
from pathlib import Path

import matplotlib

matplotlib.use("svg")
matplotlib.rcParams["svg.hashsalt"] = "mlx-llm-client"  # the same figures give the same file
import matplotlib.pyplot as plt

figures, folder = json.loads(Path(sys.argv[1]).read_text()), Path(sys.argv[2])
for name, curve in figures.items():
    plot, axes = plt.subplots(figsize=(5, 3.2), layout="constrained")
    for side, label, style in (("ours", "mlx-llm-client", "-o"), ("theirs", "mlx-lm", "--s")):
        axes.plot(*zip(*curve[side]), style, markersize=4, label=label)
    axes.set(title=curve["title"], xlabel=curve["x"], ylabel=curve["y"])
    axes.set_xscale("log", base=2)
    axes.set_xticks([x for x, _ in curve["ours"]], [str(x) for x, _ in curve["ours"]])
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    axes.legend()
    plot.savefig(folder / f"{name}.svg", metadata={"Date": None})
