# SPDX-License-Identifier: Apache-2.0
"""Whether gradients reach the first layer, and which units and weights get none.

Autoencoders of 5 to 13 layers of neurons, input and output among them, learn the digits with sigmoid, ReLU
and SmeLU, from He's initialisation and from a narrower one. Each is trained at several learning rates, and
shown at the one of the lowest training error.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from hwact.report import COLOURS, MARKERS, styled
from hwact.studies import networks
from hwact.studies.activations import RELU, Choice, Function, smelus
from hwact.studies.data import digits
from hwact.studies.plan import Plan as BasePlan
from hwact.studies.plan import Progress, Results, named
from hwact.studies.statistics import claim, interval, rounded

NAME = "vanishing"
SUMMARY = "gradients of sigmoid, ReLU and SmeLU autoencoders, layer by layer"
COLUMNS = (
    "layers", "initialisation", "activation", "precision",
    "rate", "ratio", "zero_units", "zero_weights", "error",
)  # fmt: skip
SIGMOID = Choice.of("sigmoid")
CHOICES = (SIGMOID, RELU, *smelus(1))
INITIALISATIONS = {"he": 2.0, "narrow": 1 / 3}  # variance times inputs; PyTorch's default is the second
CODE = 16  # neurons in the middle


@dataclass(frozen=True, kw_only=True)
class Plan(BasePlan):
    """Which autoencoders, and how long they are trained."""

    layers: tuple[int, ...]
    rates: tuple[float, ...]
    steps: int
    batch: int = 64
    checkpoints: int = 4


FULL = Plan(seeds=12, widths=(8,), layers=(5, 7, 11, 13), rates=(0.002, 0.005), steps=200)
QUICK = Plan(seeds=2, widths=(8,), layers=(5, 13), rates=(0.003, 0.01), steps=60, checkpoints=2)


def sizes(layers: int, inputs: int) -> list[int]:
    """Neurons of every layer, in equal ratios down to the code and up again."""
    down = np.geomspace(inputs, CODE, layers // 2 + 1).round().astype(int).tolist()
    return down + down[-2::-1]


def run(plan: Plan, device: str, progress: Progress) -> Results:
    """Train every autoencoder at every rate, and measure the gradients of the best."""
    rows: list[dict[str, Any]] = []
    cells = [
        (layers, initialisation, choice, width)
        for width in plan.precisions
        for layers in plan.layers
        for initialisation in INITIALISATIONS
        for choice in CHOICES
    ]
    finals = {}
    for cell in cells:
        layers, initialisation, choice, width = cell
        what = f"{layers} layers, {initialisation}, {choice.label}, {named(width)}"
        progress(what, len(rows), len(cells))
        row, finals[cell] = _trained(plan, layers, initialisation, choice.at(width, device), device)
        where = {"layers": layers, "initialisation": initialisation, "activation": choice.label}
        rows.append({**where, "precision": named(width), **row})
    claims = []
    for layers, initialisation, choice, width in cells:
        if choice is SIGMOID:
            continue
        mine = finals[layers, initialisation, choice, width]
        where = {"layers": layers, "initialisation": initialisation, "precision": named(width)}
        for rival in (SIGMOID, RELU)[: 1 + (choice is not RELU)]:
            theirs = finals[layers, initialisation, rival, width]
            claims.append(
                claim(f"{choice.label} has a lower error than {rival.label}", theirs - mine, **where)
            )
    return {"study": NAME, "plan": asdict(plan), "rows": rows, "claims": claims}


def _trained(
    plan: Plan, layers: int, initialisation: str, function: Function, device: str
) -> tuple[dict[str, Any], Any]:
    """The row of one autoencoder, and its test errors by seed."""
    data = digits().to(device)
    inputs = data.inputs
    shape, seeds = sizes(layers, inputs.shape[1]), list(range(plan.seeds)) * len(plan.rates)
    draw = networks.gaussian(INITIALISATIONS[initialisation])
    stack = networks.Replicas.drawn(shape, seeds, draw, device)
    rates = torch.tensor(plan.rates, device=device).repeat_interleave(plan.seeds)
    optimizer = torch.optim.Adam(stack.parameters(), lr=1)
    order = networks.orders(seeds, len(inputs), plan.steps * plan.batch)
    steps = np.linspace(0, plan.steps, plan.checkpoints + 1).astype(int).tolist()
    seen = [Gradients.of(stack, function, inputs, data.test_inputs)]
    for start, stop in pairwise(steps):
        part = order[:, start * plan.batch : stop * plan.batch]
        networks.train(
            stack, function, inputs, inputs, part, batch=plan.batch,
            loss=networks.squared_error, optimizer=optimizer, rates=rates,
        )  # fmt: skip
        seen.append(Gradients.of(stack, function, inputs, data.test_inputs))
    final = networks.squared_error(stack.predict(inputs, function), stack.spread(inputs))
    best = networks.best_rate(final.detach(), plan.seeds)
    chosen = slice(best * plan.seeds, (best + 1) * plan.seeds)
    first, last = seen[0], seen[-1]
    row = {
        "rate": plan.rates[best],
        "ratio": interval((first.sizes[chosen, 0] / first.sizes[chosen, -1]).cpu()),
        "zero_units": interval(last.zero_units[chosen].cpu()),
        "zero_weights": interval(last.zero_weights[chosen].cpu()),
        "error": interval(last.errors[chosen].cpu()),
        "steps": steps,
        "gradients": [_numbers(g.sizes[chosen].mean(dim=0)) for g in (first, last)],
        "zero_units_by_step": _numbers(torch.stack([g.zero_units[chosen].mean() for g in seen])),
        "zero_weights_by_step": _numbers(torch.stack([g.zero_weights[chosen].mean() for g in seen])),
        "error_by_step": _numbers(torch.stack([g.errors[chosen].mean() for g in seen])),
    }
    return row, last.errors[chosen].cpu().numpy()


@dataclass(frozen=True)
class Gradients:
    """Of every replica: root mean square by layer, shares of exact zeros, and the error on test images."""

    sizes: Tensor
    zero_units: Tensor
    zero_weights: Tensor
    errors: Tensor

    @classmethod
    def of(cls, stack: networks.Replicas, function: Function, inputs: Tensor, test: Tensor) -> Gradients:
        weights, units = gradients(stack, function, inputs)
        sizes = torch.stack([g.square().mean(dim=(1, 2)).sqrt() for g in weights], dim=1)
        errors = networks.squared_error(stack.predict(test, function), stack.spread(test))
        return cls(sizes, _zeros(units), _zeros(weights), errors)


def gradients(
    stack: networks.Replicas, function: Function, inputs: Tensor
) -> tuple[list[Tensor], list[Tensor]]:
    """The gradients of the reconstruction error, layer by layer.

    Returns
    -------
    weights : list of tensors, shape (replicas, inputs, outputs)
    units : list of tensors, shape (replicas, neurons)
        Of each hidden neuron the largest magnitude over the examples: 0 where none of them reaches it.
    """
    outputs = stack.forward(stack.spread(inputs), function)
    loss = networks.squared_error(outputs[-1], inputs).sum()
    found = torch.autograd.grad(loss, [*stack.weights, *outputs[:-1]])
    count = len(stack.weights)
    return list(found[:count]), [g.abs().amax(dim=1) for g in found[count:]]


def _zeros(found: list[Tensor]) -> Tensor:
    """The share of numbers that are exactly 0, for each replica."""
    return torch.cat([g.flatten(1) for g in found], dim=1).eq(0).double().mean(dim=1)


def _numbers(values: Tensor) -> list[float | None]:
    return [rounded(value) for value in values.tolist()]


def figure(results: Results) -> Figure:
    """Of the deepest in float: gradients by layer at the start, units without gradient, error curves."""
    rows = [row for row in results["rows"] if row["precision"] == named(None)]
    deepest = max(row["layers"] for row in rows)
    with styled(7.2, 4.6) as picture:
        grid = picture.subplots(2, 3, sharex="col", sharey="col")
        for initialisation, line in zip(INITIALISATIONS, grid, strict=True):
            shown = [r for r in rows if (r["layers"], r["initialisation"]) == (deepest, initialisation)]
            for row, colour, marker in zip(shown, COLOURS, MARKERS, strict=False):
                style: dict[str, Any] = {"color": colour, "marker": marker, "markersize": 3, "linewidth": 1}
                first = row["gradients"][0]
                line[0].semilogy(range(1, len(first) + 1), first, label=row["activation"], **style)
                line[1].plot(row["steps"], row["zero_units_by_step"], **style)
                line[2].semilogy(row["steps"], row["error_by_step"], **style)
            line[0].set_ylabel(f"{initialisation} initialisation", fontsize=9)
        for axes, title in zip(
            grid[0], ("gradient at the start", "units without gradient", "test error"), strict=True
        ):
            axes.set_title(title, fontsize=9)
        for axes, label in zip(grid[1], ("layer of weights", "step", "step"), strict=True):
            axes.set_xlabel(label)
        picture.legend(
            *grid[0][0].get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False
        )
    return picture
