# SPDX-License-Identifier: Apache-2.0
"""Many small networks of one shape, trained side by side.

Replicas are the first dimension of every tensor. The gradient of the sum of their losses holds each one's own
gradient, and optimisers work element by element, so that replicas do not see each other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Self

import torch
from torch import Tensor, nn

from hwact.studies.activations import Function
from hwact.studies.statistics import rounded

Loss = Callable[[Tensor, Tensor], Tensor]
"""Outputs (replicas, batch, outputs), targets (replicas, batch, ...) -> losses (replicas,)."""

Draw = Callable[[int, int, torch.Generator], Tensor]
"""Inputs, outputs, generator -> weights, shape (inputs, outputs)."""


def gaussian(variance: float) -> Draw:
    """Normal weights of ``variance / inputs``: 2 is He's initialisation."""
    return lambda inputs, outputs, generator: (
        torch.randn(inputs, outputs, generator=generator) * (variance / inputs) ** 0.5
    )


def orthogonal(gain: float) -> Draw:
    """Orthogonal weights with the second moment of normal ones of ``gain^2 / inputs``."""

    def draw(inputs: int, outputs: int, generator: torch.Generator) -> Tensor:
        weights = nn.init.orthogonal_(torch.empty(inputs, outputs), generator=generator)
        return weights * gain * max(1.0, outputs / inputs) ** 0.5

    return draw


class Replicas:
    """Fully connected networks.

    Attributes
    ----------
    weights, biases : lists of tensors, shapes (replicas, inputs, outputs) and (replicas, 1, outputs)
    """

    def __init__(self, weights: Sequence[Tensor], biases: Sequence[Tensor]) -> None:
        self.weights, self.biases = list(weights), list(biases)

    @classmethod
    def drawn(cls, sizes: Sequence[int], seeds: Sequence[int], draw: Draw, device: str = "cpu") -> Self:
        """New networks with biases of 0, ready to train.

        Parameters
        ----------
        sizes : sequence of int
            Inputs, hidden units, outputs.
        seeds : sequence of int
            One a replica, which depends on nothing else.
        draw : callable
            Of weights; one for all layers.
        """
        replicas = []
        for seed in seeds:
            generator = torch.Generator().manual_seed(seed)
            replicas.append([draw(*shape, generator) for shape in pairwise(sizes)])
        weights = [torch.stack(layer).to(device) for layer in zip(*replicas, strict=True)]
        biases = [torch.zeros(len(seeds), 1, size, device=device) for size in sizes[1:]]
        for tensor in (*weights, *biases):
            tensor.requires_grad_(True)
        return cls(weights, biases)

    def parameters(self) -> list[Tensor]:
        """Weights and biases, layer by layer."""
        return [tensor for pair in zip(self.weights, self.biases, strict=True) for tensor in pair]

    def forward(self, x: Tensor, activation: Function) -> list[Tensor]:
        """What each layer puts out before its activation; the last one is the networks' output.

        Parameters
        ----------
        x : tensor, shape (replicas, batch, inputs)
        """
        outputs = [torch.baddbmm(self.biases[0], x, self.weights[0])]
        for weights, biases in zip(self.weights[1:], self.biases[1:], strict=True):
            outputs.append(torch.baddbmm(biases, activation(outputs[-1]), weights))
        return outputs

    def __call__(self, x: Tensor, activation: Function) -> Tensor:
        """The networks' outputs, shape (replicas, batch, outputs)."""
        return self.forward(x, activation)[-1]

    @torch.no_grad()
    def predict(self, x: Tensor, activation: Function) -> Tensor:
        """The outputs of all replicas for the same inputs, shape (batch, inputs), without gradients."""
        return self(self.spread(x), activation)

    def spread(self, x: Tensor) -> Tensor:
        """The same for every replica, without a copy."""
        return x.expand(len(self.weights[0]), *x.shape)


def cross_entropy(outputs: Tensor, targets: Tensor) -> Tensor:
    """Of classes, by their numbers."""
    flat = nn.functional.cross_entropy(outputs.flatten(0, 1), targets.flatten(), reduction="none")
    return flat.view(targets.shape).mean(dim=1)


def click_loss(outputs: Tensor, targets: Tensor) -> Tensor:
    """Of one logit and 0 or 1."""
    losses = nn.functional.binary_cross_entropy_with_logits(outputs[..., 0], targets, reduction="none")
    return losses.mean(dim=1)


def squared_error(outputs: Tensor, targets: Tensor) -> Tensor:
    """The mean over outputs and examples."""
    return (outputs - targets).square().mean(dim=(1, 2))


def accuracy(outputs: Tensor, targets: Tensor) -> Tensor:
    """The share of right decisions of each replica; outputs (replicas, examples, classes)."""
    return (outputs.argmax(dim=-1) == targets).double().mean(dim=1)


def orders(seeds: Sequence[int], examples: int, count: int) -> Tensor:
    """So many examples for each replica, in epochs that are each shuffled anew; (replicas, count)."""
    rows = []
    for seed in seeds:
        generator = torch.Generator().manual_seed(seed)
        epochs = -(-count // examples)
        row = [torch.randperm(examples, generator=generator) for _ in range(epochs)]
        rows.append(torch.cat(row)[:count])
    return torch.stack(rows)


def train(
    networks: Replicas,
    activation: Function,
    inputs: Tensor,
    targets: Tensor,
    order: Tensor,
    *,
    batch: int,
    loss: Loss,
    optimizer: torch.optim.Optimizer,
    rates: Tensor | None = None,
) -> Tensor:
    """Train on the examples of each replica's order, in batches; returns the losses, (steps, replicas).

    Parameters
    ----------
    order : int64 tensor, shape (replicas, batch * steps)
    rates : tensor, shape (replicas,), optional
        Learning rates of the replicas, where the optimiser's own is 1.
    """
    parameters, curve = networks.parameters(), []
    for chosen in order.to(inputs.device).split(batch, dim=1):
        losses = loss(networks(inputs[chosen], activation), targets[chosen])
        optimizer.zero_grad()
        losses.sum().backward()
        curve.append(losses.detach())
        before = [tensor.detach().clone() for tensor in parameters] if rates is not None else []
        optimizer.step()
        if rates is not None:
            with torch.no_grad():
                for tensor, old in zip(parameters, before, strict=True):
                    tensor.copy_(torch.lerp(old, tensor, rates[:, None, None]))
    return torch.stack(curve)


def means(curve: Tensor, points: int) -> tuple[list[int], list[float | None]]:
    """A curve of losses, (steps, replicas), as at most so many means, and the steps at which each ends."""
    ends = torch.linspace(0, len(curve), min(points, len(curve)) + 1).long().tolist()
    return ends[1:], [rounded(float(curve[i:j].mean())) for i, j in pairwise(ends)]


def best_rate(final: Tensor, seeds: int) -> int:
    """The learning rate of the lowest mean loss; losses of shape (rates * seeds,), NaN where one blew up."""
    return int(final.view(-1, seeds).mean(dim=1).nan_to_num(nan=torch.inf).argmin())
