# SPDX-License-Identifier: Apache-2.0
"""Networks trained in float, then run with their activations in 16-, 8- and 6-bit hardware.

A 64-64-32-10 network learns scikit-learn's digits with SmeLU, GELU and Swish. Then every activation module is
replaced by a unit of each width; the weights stay float, so that the table shows what the activation alone
costs.

Run ``python examples/quantised_training.py``; it needs PyTorch and scikit-learn
(``pip install -e ".[test]"``).
"""

from __future__ import annotations

import argparse
import copy
from itertools import pairwise

import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import Tensor, nn

import hwact
from hwact.torch import replace

SEED = 1
WIDTHS = (16, 8, 6)


class SmeLU(nn.Module):
    """SmeLU(1), which PyTorch does not have."""

    def forward(self, x: Tensor) -> Tensor:
        """The parabola between -1 and 1, ReLU elsewhere."""
        return torch.where(x.abs() < 1, (x + 1) ** 2 / 4, x.relu())


DTYPES = (torch.float32, torch.float32, torch.int64, torch.int64)
ACTIVATIONS: dict[str, type[nn.Module]] = {"smelu": SmeLU, "gelu": nn.GELU, "swish": nn.SiLU}


def load() -> list[Tensor]:
    """Training pixels in [0, 1], test pixels, training labels, test labels."""
    digits = load_digits()
    parts = train_test_split(
        digits.data / 16, digits.target, test_size=0.25, random_state=SEED, stratify=digits.target
    )
    return [torch.as_tensor(part, dtype=dtype) for part, dtype in zip(parts, DTYPES, strict=True)]


def train(
    activation: type[nn.Module],
    pixels: Tensor,
    labels: Tensor,
    epochs: int,
    hidden: tuple[int, ...] = (64, 32),
) -> nn.Sequential:
    """A network with so many hidden neurons in each layer, trained on all images at once."""
    torch.manual_seed(SEED)
    network = nn.Sequential()
    sizes = (64, *hidden)
    for inputs, outputs in pairwise(sizes):
        network.extend([nn.Linear(inputs, outputs), activation()])
    network.append(nn.Linear(sizes[-1], 10))
    # without decay of the weights, pre-activations grow past the units' domain [-8, 8)
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.005, weight_decay=1.0)
    for _ in range(epochs):
        optimizer.zero_grad()
        nn.functional.cross_entropy(network(pixels), labels).backward()
        optimizer.step()
    return network


@torch.no_grad()
def accuracy(network: nn.Module, pixels: Tensor, labels: Tensor) -> float:
    """Share of images whose highest score is at their label."""
    return float((network(pixels).argmax(dim=1) == labels).double().mean())


def main() -> None:
    """Train, replace, and print a line for each function."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--epochs", type=int, default=100, help="steps of training (default 100)")
    parser.add_argument("--widths", type=int, nargs="+", default=WIDTHS, help="bits of the units")
    options = parser.parse_args()
    torch.set_num_threads(1)  # sums then have one order, and the result is the same in every run
    train_pixels, test_pixels, train_labels, test_labels = load()
    print("activation ", "float32", *(f"{width:2} bits" for width in options.widths), sep="  ")
    for name, kind in ACTIVATIONS.items():
        network = train(kind, train_pixels, train_labels, options.epochs)
        found = [accuracy(network, test_pixels, test_labels)]
        for width in options.widths:
            hardware = replace(copy.deepcopy(network), {kind: hwact.build(name, width=width)})
            found.append(accuracy(hardware, test_pixels, test_labels))
        print(f"{name:11}", *(f"{share:7.4f}" for share in found), sep="  ", flush=True)


if __name__ == "__main__":
    main()
