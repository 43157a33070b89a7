# SPDX-License-Identifier: Apache-2.0
"""How far two trainings of the same network predict the same.

For each seed three networks are trained: one, a second that differs by its initial weights alone, and a third
that differs by the order of its examples alone. Prediction difference (PD) and churn compare the first with
the others on test data. Units are in the forward pass, their gradient units in the backward pass.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import torch
from matplotlib.figure import Figure
from sklearn.metrics import roc_auc_score
from torch import Tensor

from hwact.report import COLOURS, MARKERS, styled
from hwact.studies import data as sources
from hwact.studies import networks
from hwact.studies.activations import RELU, SMOOTH, Function, smelus
from hwact.studies.data import Data
from hwact.studies.plan import Plan as BasePlan
from hwact.studies.plan import Progress, Results, named
from hwact.studies.statistics import churn, claim, interval, prediction_difference

NAME = "reproducibility"
SUMMARY = "prediction difference of networks that differ by initialisation or data order"
COLUMNS = ("data", "activation", "precision", "pd_init", "pd_order", "churn_init", "accuracy", "loss")
CHOICES = (RELU, *smelus(0.25, 0.5, 1, 2), *SMOOTH)
DIFFERENCES = ("init", "order")
RATE = 0.03  # of Adagrad, which decays: what PD is left is not the noise of the last batches


@dataclass(frozen=True, kw_only=True)
class Plan(BasePlan):
    """How long each kind of network is trained: clicks once over, digits for some epochs."""

    clicks: int
    test_clicks: int
    epochs: int


FULL = Plan(seeds=12, widths=(16, 12, 8), clicks=8192, test_clicks=4096, epochs=5)
QUICK = Plan(seeds=3, widths=(8,), clicks=4096, test_clicks=1024, epochs=3)


class _Task(NamedTuple):
    data: Data
    sizes: tuple[int, ...]
    batch: int
    examples: int
    loss: networks.Loss
    probabilities: Callable[[Tensor, Tensor], Tensor]
    quality: Callable[[Tensor, Tensor], Tensor]


def run(plan: Plan, device: str, progress: Progress) -> Results:
    """Train the triples of every activation, in float and at every width."""
    tasks = _tasks(plan)
    rows: list[dict[str, Any]] = []
    differences = {}
    total = len(tasks) * len(plan.precisions) * len(CHOICES)
    for width in plan.precisions:
        for choice in CHOICES:
            function = choice.at(width, device)
            for name, task in tasks.items():
                progress(f"{name}, {choice.label}, {named(width)}", len(rows), total)
                measured = _measured(task, plan.seeds, function, device)
                differences[name, choice, width] = measured
                found = {key: interval(values) for key, values in measured.items()}
                rows.append({"data": name, "activation": choice.label, "precision": named(width), **found})
    claims = [
        claim(
            f"{choice.label} has a lower PD than ReLU",
            (differences[name, RELU, width][f"pd_{kind}"] - differences[name, choice, width][f"pd_{kind}"]),
            data=name,
            differing=kind,
            precision=named(width),
        )
        for (name, choice, width) in differences
        if choice is not RELU
        for kind in DIFFERENCES
    ]
    return {"study": NAME, "plan": asdict(plan), "rows": rows, "claims": claims}


def _tasks(plan: Plan) -> dict[str, _Task]:
    clicks, digits = sources.click_log(plan.clicks, plan.test_clicks), sources.digits()
    return {
        "clicks": _Task(
            clicks, (clicks.inputs.shape[1], 32, 32, 16, 1), 64, plan.clicks,
            networks.click_loss, lambda outputs, _: outputs[..., 0].sigmoid(), _auc,
        ),
        "digits": _Task(
            digits, (digits.inputs.shape[1], 32, 32, 10), 32, plan.epochs * len(digits.inputs),
            networks.cross_entropy, _of_label, networks.accuracy,
        ),
    }  # fmt: skip


def _of_label(outputs: Tensor, targets: Tensor) -> Tensor:
    """The probability of each example's true digit."""
    index = targets.expand(outputs.shape[:-1])[..., None]
    return outputs.softmax(dim=-1).gather(-1, index)[..., 0]


def _auc(outputs: Tensor, targets: Tensor) -> Tensor:
    """The area under the receiver operating characteristic of each replica."""
    return torch.tensor([roc_auc_score(targets.cpu(), row.cpu()) for row in outputs[..., 0]])


def triples(seeds: int) -> tuple[list[int], list[int]]:
    """Seeds of weights and of orders: of all firsts, of those of other weights, of those of other orders."""
    first, other = list(range(seeds)), list(range(10_000, 10_000 + seeds))
    return first + other + first, first + first + other


def _measured(task: _Task, seeds: int, function: Function, device: str) -> dict[str, Any]:
    """PD, churn, accuracy and loss of every seed; accuracy and loss are those of the first network."""
    data = task.data.to(device)
    initial, shuffles = triples(seeds)
    stack = networks.Replicas.drawn(task.sizes, initial, networks.gaussian(2.0), device)
    order = networks.orders(shuffles, len(data.inputs), task.examples)
    optimizer = torch.optim.Adagrad(stack.parameters(), lr=RATE)
    networks.train(
        stack, function, data.inputs, data.targets, order,
        batch=task.batch, loss=task.loss, optimizer=optimizer,
    )  # fmt: skip
    outputs = stack.predict(data.test_inputs, function)
    spread = stack.spread(data.test_targets)
    parts = task.probabilities(outputs, data.test_targets).double().view(3, seeds, -1)
    decisions = outputs if outputs.shape[-1] > 1 else torch.cat([-outputs, outputs], dim=-1)
    decisions = decisions.view(3, seeds, *decisions.shape[1:])
    found = {
        "pd_init": prediction_difference(parts[0], parts[1]),
        "pd_order": prediction_difference(parts[0], parts[2]),
        "churn_init": churn(decisions[0], decisions[1]),
        "churn_order": churn(decisions[0], decisions[2]),
        "accuracy": task.quality(outputs, data.test_targets)[:seeds],
        "loss": task.loss(outputs, spread)[:seeds],
    }
    return {key: values.detach().double().cpu().numpy() for key, values in found.items()}


def figure(results: Results) -> Figure:
    """PD by initialisation and by order over activations, for each kind of data; a mark a precision."""
    rows = results["rows"]
    labels = list(dict.fromkeys(row["activation"] for row in rows))
    precisions = list(dict.fromkeys(row["precision"] for row in rows))
    names = list(dict.fromkeys(row["data"] for row in rows))
    with styled(7.2, 2.6 * len(names)) as picture:
        grid = picture.subplots(len(names), len(DIFFERENCES), sharex=True, sharey="row", squeeze=False)
        for name, line in zip(names, grid, strict=True):
            for kind, axes in zip(DIFFERENCES, line, strict=True):
                for shift, precision in enumerate(precisions):
                    shown = [
                        r[f"pd_{kind}"] for r in rows if (r["data"], r["precision"]) == (name, precision)
                    ]
                    means = [value["mean"] for value in shown]
                    reach = [value["high"] - value["mean"] for value in shown]
                    places = [place + 0.16 * shift for place in range(len(labels))]
                    axes.errorbar(
                        places, means, reach, fmt=MARKERS[shift], color=COLOURS[shift], markersize=3,
                        linewidth=0.9, label=precision,
                    )  # fmt: skip
                axes.set_title(f"{name}: other {'weights' if kind == 'init' else 'order'}", fontsize=9)
                axes.set_xticks(range(len(labels)), labels, rotation=40, ha="right")
                axes.grid(axis="x", visible=False)
            line[0].set_ylabel("PD")
        handles, texts = grid[0][0].get_legend_handles_labels()
        picture.legend(handles, texts, loc="outside lower center", ncols=len(precisions), frameon=False)
    return picture
