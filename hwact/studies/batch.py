# SPDX-License-Identifier: Apache-2.0
"""Single examples against mini-batches, and batch statistics against moving averages, also in integers.

Networks learn the digits by stochastic gradient descent. Each hidden layer is normalised before its
activation: not at all; by the mean and variance of the batch, with the gradient through both; or by moving
averages over examples one by one, as constants of the gradient, in float or by the integer rule of
`hwact.normalisation`. For testing all but the first use the moving averages.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from matplotlib.figure import Figure
from torch import Tensor

from hwact.formats import Format, Overflow, Rounding
from hwact.normalisation import MovingStatistics
from hwact.report import COLOURS, styled
from hwact.studies import networks
from hwact.studies.activations import RELU, Choice, Function, smelus
from hwact.studies.data import Data, digits
from hwact.studies.plan import Plan as BasePlan
from hwact.studies.plan import Progress, Results, named
from hwact.studies.statistics import claim, interval

NAME = "batch"
SUMMARY = "single examples against mini-batches, batch statistics against moving averages in integers"
COLUMNS = ("batch", "normalisation", "activation", "precision", "rate", "accuracy", "loss")
CHOICES = (RELU, *smelus(1))
HIDDEN = (32, 32)
RULE = MovingStatistics(input_format=Format.parse("SQ8.8"), shift=7)
EPSILON = 2.0**-8  # added to variances
WARM_UP = 4 << RULE.shift  # examples before the first step: the registers begin at 0
POINTS = 12


_Cell = tuple[int | None, Choice, int, str]  # width, activation, batch, normalisation


@dataclass(frozen=True, kw_only=True)
class Plan(BasePlan):
    """Examples of an update, and how many examples are seen in all."""

    batches: tuple[int, ...]
    rates: tuple[float, ...]
    examples: int


FULL = Plan(seeds=12, widths=(8,), batches=(1, 32), rates=(0.01, 0.03, 0.1, 0.3, 1.0), examples=1344)
QUICK = Plan(seeds=2, widths=(8,), batches=(1, 32), rates=(0.01, 0.1), examples=384)


class Statistics:
    """Mean and variance of each replica's units, as constants; ``see`` updates them."""

    def __init__(self, shape: tuple[int, ...], device: str) -> None:
        self.mean = torch.zeros(shape, device=device)
        self.variance = torch.zeros(shape, device=device)

    def see(self, x: Tensor) -> None:
        """Take a batch, shape (replicas, batch, units), example by example."""
        part = 2.0**-RULE.shift
        for one in x.unbind(dim=1):
            difference = one - self.mean
            self.mean = self.mean + part * difference
            self.variance = self.variance + part * (difference.square() - self.variance)


class IntegerStatistics(Statistics):
    """The same by the integer rule, from codes of its input format."""

    def __init__(self, shape: tuple[int, ...], device: str) -> None:
        super().__init__(shape, device)
        self.registers = np.zeros(shape, np.int64), np.zeros(shape, np.int64)

    def see(self, x: Tensor) -> None:
        form = RULE.input_format
        seen = np.nan_to_num(x.cpu().numpy())  # a replica whose rate is too high may blow up
        codes = form.quantise_array(seen, Rounding.HALF_UP, Overflow.SATURATE)
        for one in codes.swapaxes(0, 1):
            self.registers = RULE.update(*self.registers, one)
        bits = form.frac_bits + RULE.guard, 2 * form.frac_bits + RULE.guard
        self.mean, self.variance = (
            torch.from_numpy(np.ldexp(register.astype(np.float64), -b)).float().to(x.device)
            for register, b in zip(self.registers, bits, strict=True)
        )


class Normalised(networks.Replicas):
    """Networks whose hidden layers are normalised before the bias; without `statistics` they are not.

    Parameters
    ----------
    statistics : list of Statistics
        One a hidden layer.
    by_batch : bool
        In training, the mean and variance of the batch instead.
    """

    statistics: Sequence[Statistics] = ()
    by_batch = False
    training = True

    def forward(self, x: Tensor, activation: Function) -> list[Tensor]:
        outputs: list[Tensor] = []
        for index, (weights, biases) in enumerate(zip(self.weights, self.biases, strict=True)):
            x = torch.bmm(x, weights)
            if index < len(self.statistics):
                x = self._normalised(x, self.statistics[index])
            outputs.append(x + biases)
            x = activation(outputs[-1]) if index + 1 < len(self.weights) else x
        return outputs

    def _normalised(self, x: Tensor, kept: Statistics) -> Tensor:
        mean, variance = kept.mean[:, None], kept.variance[:, None]
        if self.training:
            kept.see(x.detach())
            mean, variance = kept.mean[:, None], kept.variance[:, None]
            if self.by_batch:
                mean, variance = x.mean(dim=1, keepdim=True), x.var(dim=1, keepdim=True, correction=0)
        return (x - mean) / (variance + EPSILON).sqrt()

    def predict(self, x: Tensor, activation: Function) -> Tensor:
        self.training = False
        found = super().predict(x, activation)
        self.training = True
        return found


NORMALISATIONS: dict[str, tuple[type[Statistics] | None, bool]] = {
    "none": (None, False),
    "batch": (Statistics, True),
    "moving": (Statistics, False),
    "integer": (IntegerStatistics, False),
}


def run(plan: Plan, device: str, progress: Progress) -> Results:
    """Train with every kind of update and normalisation."""
    data = digits().to(device)
    cells = [
        (width, choice, batch, kind)
        for width in plan.precisions
        for choice in CHOICES
        for batch in plan.batches
        for kind in NORMALISATIONS
    ]
    rows: list[dict[str, Any]] = []
    scores: dict[_Cell, npt.NDArray[np.float64]] = {}
    for width, choice, batch, kind in cells:
        progress(f"batch {batch}, {kind}, {choice.label}, {named(width)}", len(rows), len(cells))
        row, scores[width, choice, batch, kind] = _trained(plan, data, choice.at(width, device), batch, kind)
        where = {"batch": batch, "normalisation": kind, "activation": choice.label}
        rows.append({**where, "precision": named(width), **row})
    return {"study": NAME, "plan": asdict(plan), "rows": rows, "claims": _claims(scores, min(plan.batches))}


def _claims(scores: dict[_Cell, npt.NDArray[np.float64]], smallest: int) -> list[dict[str, Any]]:
    """What is said of mini-batches, moving averages and integers, from test accuracies by seed."""
    claims = []
    for (width, choice, batch, kind), score in scores.items():
        here = {"activation": choice.label, "precision": named(width), "batch": batch}
        if batch != smallest:
            text = f"a batch of {batch} is more accurate than one of {smallest}"
            other = scores[width, choice, smallest, kind]
            claims.append(claim(text, score - other, normalisation=kind, **here))
        if kind == "moving":
            text = "moving averages are more accurate than batch statistics"
            claims.append(claim(text, score - scores[width, choice, batch, "batch"], **here))
        if kind == "integer":
            text = "the integer rule is less accurate than float moving averages"
            claims.append(claim(text, scores[width, choice, batch, "moving"] - score, **here))
    return claims


def _trained(
    plan: Plan, data: Data, function: Function, batch: int, kind: str
) -> tuple[dict[str, Any], npt.NDArray[np.float64]]:
    """The row of one network, and its test accuracy by seed."""
    seeds = list(range(plan.seeds)) * len(plan.rates)
    device = str(data.inputs.device)
    stack = Normalised.drawn((data.inputs.shape[1], *HIDDEN, 10), seeds, networks.gaussian(2.0), device)
    keeper, stack.by_batch = NORMALISATIONS[kind]
    if keeper is not None:
        stack.statistics = [keeper((len(seeds), size), device) for size in HIDDEN]
    order = networks.orders(seeds, len(data.inputs), WARM_UP + plan.examples // batch * batch)
    with torch.no_grad():
        for chosen in order[:, :WARM_UP].to(device).split(batch, dim=1):
            stack(data.inputs[chosen], function)
    curve = networks.train(
        stack, function, data.inputs, data.targets, order[:, WARM_UP:],
        batch=batch, loss=networks.cross_entropy,
        optimizer=torch.optim.SGD(stack.parameters(), lr=1),
        rates=torch.tensor(plan.rates, device=device).repeat_interleave(plan.seeds),
    )  # fmt: skip
    final = networks.cross_entropy(stack.predict(data.inputs, function), stack.spread(data.targets))
    best = networks.best_rate(final, plan.seeds)
    chosen_rate = slice(best * plan.seeds, (best + 1) * plan.seeds)
    outputs = stack.predict(data.test_inputs, function)[chosen_rate]
    targets = data.test_targets.expand(plan.seeds, -1)
    score = networks.accuracy(outputs, data.test_targets).cpu()
    steps, losses = networks.means(curve[:, chosen_rate], POINTS)
    row = {
        "rate": plan.rates[best],
        "accuracy": interval(score),
        "loss": interval(networks.cross_entropy(outputs, targets).cpu()),
        "examples": [step * batch for step in steps],
        "loss_by_examples": losses,
    }
    return row, score.numpy()


def figure(results: Results) -> Figure:
    """Training loss over examples seen: a panel for each batch and activation; dashed in hardware."""
    rows = results["rows"]
    batches, labels = ([*dict.fromkeys(row[key] for row in rows)] for key in ("batch", "activation"))
    precisions = list(dict.fromkeys(row["precision"] for row in rows))
    lines = dict(zip(precisions, ("-", "--", ":", "-."), strict=False))
    with styled(7.2, 4.8) as picture:
        grid = picture.subplots(len(labels), len(batches), sharex=True, sharey=True, squeeze=False)
        for row in rows:
            axes = grid[labels.index(row["activation"])][batches.index(row["batch"])]
            axes.semilogy(
                row["examples"], row["loss_by_examples"], lines.get(row["precision"], ":"), linewidth=1.1,
                color=COLOURS[list(NORMALISATIONS).index(row["normalisation"])],
                label=f"{row['normalisation']}, {row['precision']}",
            )  # fmt: skip
            axes.set_title(f"{row['activation']}, batch {row['batch']}", fontsize=9)
        for axes in grid[-1]:
            axes.set_xlabel("examples")
        for axes in grid[:, 0]:
            axes.set_ylabel("training loss")
        handles, texts = grid[0][0].get_legend_handles_labels()
        picture.legend(handles, texts, loc="outside lower center", ncols=4, frameon=False, fontsize=8)
    return picture
