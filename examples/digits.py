# SPDX-License-Identifier: Apache-2.0
"""A trained network with its activation replaced by the 16-bit hardware unit.

A 64-128-64-10 network with GELU learns scikit-learn's digits. What enters GELU on the test
images is recorded into ``x.npy`` and goes through the golden model by the command that a user
would type; then the whole network runs on the golden model, which is bit-exact with the Verilog.

Run ``python examples/digits.py``; it needs PyTorch and scikit-learn (``pip install -e ".[test]"``).
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn

import hwact

Floats = npt.NDArray[np.float32]
Activation = Callable[[torch.Tensor], torch.Tensor]

SEED = 1
EPOCHS = 100


def load() -> tuple[torch.Tensor, ...]:
    """Digits as pixels in [0, 1] and labels: training pixels, test pixels, training labels, test labels."""
    digits = load_digits()
    pixels = (digits.data / 16).astype(np.float32)
    parts = train_test_split(pixels, digits.target, test_size=0.25, random_state=SEED, stratify=digits.target)
    return tuple(torch.from_numpy(part) for part in parts)


def train(pixels: torch.Tensor, labels: torch.Tensor) -> list[nn.Linear]:
    """Train the three layers with float GELU between them, on all images at once."""
    torch.manual_seed(SEED)
    layers = [nn.Linear(64, 128), nn.Linear(128, 64), nn.Linear(64, 10)]
    parameters = [p for layer in layers for p in layer.parameters()]
    # without decay of the weights, pre-activations grow past the unit's domain [-8, 8)
    optimizer = torch.optim.AdamW(parameters, lr=0.005, weight_decay=1.5)
    for _ in range(EPOCHS):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(forward(layers, pixels, nn.functional.gelu)[-1], labels)
        loss.backward()
        optimizer.step()
    return layers


def forward(layers: list[nn.Linear], pixels: torch.Tensor, activation: Activation) -> list[torch.Tensor]:
    """What each layer puts out before its activation; the last one holds the scores of the digits."""
    outputs = [layers[0](pixels)]
    for layer in layers[1:]:
        outputs.append(layer(activation(outputs[-1])))
    return outputs


def accuracy(scores: torch.Tensor, labels: torch.Tensor) -> float:
    """Share of images whose highest score is at their label."""
    return float((scores.argmax(dim=1) == labels).double().mean())


def run_eval(recorded: Floats, folder: Path) -> Floats:
    """Send a tensor through the golden model by the command line; show the command and what it says."""
    source, result = folder / "x.npy", folder / "y.npy"
    np.save(source, recorded)
    command = ["hwact", "eval", "gelu", "--width", "16", "--input", str(source), "--output", str(result)]
    print("$ python -m", *command, flush=True)
    subprocess.run([sys.executable, "-m", *command], check=True)
    return np.load(result)


def hardware(unit: hwact.Unit) -> Activation:
    """The unit as an activation of tensors: quantise, golden model, dequantise."""
    return lambda x: torch.from_numpy(unit(x.numpy()).astype(np.float32, copy=False))


@torch.no_grad()
def compare(layers: list[nn.Linear], pixels: torch.Tensor, labels: torch.Tensor, folder: Path) -> None:
    """Print accuracy and error of the float network beside the one on the golden model."""
    outputs = forward(layers, pixels, nn.functional.gelu)
    recorded = torch.cat(outputs[:-1], dim=1)
    print(f"{recorded.numel()} pre-activations recorded, in [{recorded.min():.2f}, {recorded.max():.2f}]")

    unit = hwact.build("gelu", width=16)
    evaluated = run_eval(recorded.numpy(), folder)
    wanted = nn.functional.gelu(recorded.double()).numpy()
    in_ulp = np.abs(evaluated - wanted) / float(unit.output_format.ulp)
    print(
        f"against float64 GELU of the unquantised input: max {in_ulp.max():.3f} ulp, mean {in_ulp.mean():.3f}"
    )

    scores = forward(layers, pixels, hardware(unit))[-1]
    changed = int((scores.argmax(dim=1) != outputs[-1].argmax(dim=1)).sum())
    print(f"accuracy with float32 GELU        {accuracy(outputs[-1], labels):.4f}")
    print(f"accuracy with the 16-bit hardware {accuracy(scores, labels):.4f}")
    print(f"decisions changed                 {changed} of {len(labels)}")


def main() -> None:
    """Train, record, evaluate, compare."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("build/digits"), help="folder of x.npy and y.npy")
    folder = parser.parse_args().out
    folder.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)  # sums then have one order, and the result is the same in every run
    train_pixels, test_pixels, train_labels, test_labels = load()
    layers = train(train_pixels, train_labels)
    compare(layers, test_pixels, test_labels, folder)


if __name__ == "__main__":
    main()
