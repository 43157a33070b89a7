# SPDX-License-Identifier: Apache-2.0
"""What the networks of the studies learn: scikit-learn's digits, and a synthetic log of clicks."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import Tensor

FIELDS, VALUES, FACTORS = 8, 24, 4  # of a click log


class Data(NamedTuple):
    """Inputs are float32, shape (examples, features); targets int64 or float32, shape (examples,)."""

    inputs: Tensor
    targets: Tensor
    test_inputs: Tensor
    test_targets: Tensor

    def to(self, device: str) -> Data:
        """The same on a device."""
        return Data(*(part.to(device) for part in self))


@cache
def digits() -> Data:
    """1347 and 450 images with their digits; the 60 pixels, of 0 to 1, that differ within the former."""
    found = load_digits()
    train, test, targets, test_targets = train_test_split(
        found.data / 16, found.target, test_size=0.25, random_state=0, stratify=found.target
    )
    varies = train.min(axis=0) < train.max(axis=0)  # a weight of any other pixel never has a gradient
    inputs, test_inputs = (torch.tensor(part[:, varies], dtype=torch.float32) for part in (train, test))
    return Data(inputs, torch.tensor(targets), test_inputs, torch.tensor(test_targets))


def centred(data: Data) -> Data:
    """Inputs less their mean image, each example scaled to a mean square of 1."""
    mean = data.inputs.mean(dim=0)

    def scaled(inputs: Tensor) -> Tensor:
        difference = inputs - mean
        return difference / difference.square().mean(dim=1, keepdim=True).sqrt()

    return Data(scaled(data.inputs), data.targets, scaled(data.test_inputs), data.test_targets)


def click_log(examples: int, test_examples: int, seed: int = 0) -> Data:
    """A log of what was shown, and whether it was clicked (1.0) or not (0.0).

    Each example has one of 24 values in each of 8 fields, as 192 ones and zeros; popular values are shown
    more often, as 1 / rank. The log odds of a click are the sum of a weight for each value and of the scalar
    products of their hidden factors, all pairs; about a fifth are clicked.
    """
    random = np.random.default_rng(seed)
    weights = random.normal(0, 0.5, (FIELDS, VALUES))
    factors = random.normal(0, 0.35, (FIELDS, VALUES, FACTORS))
    popularity = 1 / np.arange(1, VALUES + 1)
    total = examples + test_examples
    shown = random.choice(VALUES, (total, FIELDS), p=popularity / popularity.sum())
    fields = np.arange(FIELDS)
    chosen = factors[fields, shown]
    pairs = ((chosen.sum(axis=1) ** 2) - (chosen**2).sum(axis=1)).sum(axis=1) / 2
    odds = weights[fields, shown].sum(axis=1) + pairs
    odds += -1.5 - odds.mean()
    clicked = random.random(total) < 1 / (1 + np.exp(-odds))
    inputs = np.zeros((total, FIELDS, VALUES), np.float32)
    np.put_along_axis(inputs, shown[..., None], 1, axis=2)
    features, targets = torch.from_numpy(inputs.reshape(total, -1)), torch.from_numpy(clicked).float()
    return Data(features[:examples], targets[:examples], features[examples:], targets[examples:])
