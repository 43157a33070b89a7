# SPDX-License-Identifier: Apache-2.0
"""How smooth the loss is over weights, and the output over inputs.

Loss: networks trained on the digits with SmeLU of each beta, ReLU being beta 0, are moved along two random
directions whose columns are as long as the weights' own (Li et al., arXiv 1712.09913). Output: random
networks over a plane of inputs. Both on a grid, in float and through bit-exact units.

Roughness is ``sum |d[i+1] - d[i]| / (2 sum |d[i]|)`` over the second differences d along both axes: 0 where
the surface bends evenly, 1 where kinks are alone between flat pieces, 0.91 where all bends are noise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor

from hwact.report import styled
from hwact.studies import networks
from hwact.studies.activations import RELU, SMOOTH, Choice, Function, smelus
from hwact.studies.data import Data, digits
from hwact.studies.plan import Plan as BasePlan
from hwact.studies.plan import Progress, Results, named
from hwact.studies.statistics import claim, interval, rounded

NAME = "surface"
SUMMARY = "loss over two directions of weights and output over inputs, as beta grows"
COLUMNS = ("surface", "activation", "precision", "roughness", "minima", "accuracy")
LOSS_CHOICES = (RELU, *smelus(0.25, 0.5, 1, 2, 4))
OUTPUT_CHOICES = (*LOSS_CHOICES, *SMOOTH)
REACH = {"loss": 1.0, "output": 2.0}  # a grid goes from minus this to plus this
PLANE = (2, 32, 32, 32, 1)
RATE, BATCH, CHUNK = 0.005, 32, 64
DRAWN_LABELS = (RELU.label, *(choice.label for choice in smelus(0.5, 2)))


@dataclass(frozen=True, kw_only=True)
class Plan(BasePlan):
    """Points of a grid on each axis, and how long networks are trained and on how many images judged."""

    loss_points: int
    output_points: int
    steps: int
    images: int


FULL = Plan(seeds=12, widths=(16, 8), loss_points=25, output_points=61, steps=300, images=128)
QUICK = Plan(seeds=2, widths=(8,), loss_points=11, output_points=31, steps=60, images=64)


def run(plan: Plan, device: str, progress: Progress) -> Results:
    """Measure both surfaces of every activation, in float and at every width."""
    data = digits().to(device)
    cells = [
        (surface, choice, width)
        for width in plan.precisions
        for surface, choices in (("loss", LOSS_CHOICES), ("output", OUTPUT_CHOICES))
        for choice in choices
    ]
    rows: list[dict[str, Any]] = []
    rough: dict[tuple[str, Choice, int | None], Tensor] = {}
    for surface, choice, width in cells:
        progress(f"{surface}, {choice.label}, {named(width)}", len(rows), len(cells))
        function = choice.at(width, device)
        scores = None
        if surface == "loss":
            found, scores = losses(plan, function, data, device)
        else:
            found = _outputs(plan, function, device)
        rough[surface, choice, width] = roughness(found)
        row = {
            "roughness": interval(rough[surface, choice, width]),
            "minima": interval(minima(found)),
            "accuracy": None if scores is None else interval(scores),
            "grid": [[float(f"{value:.4g}") for value in line] for line in found[0].tolist()],
        }
        rows.append({"surface": surface, "activation": choice.label, "precision": named(width), **row})
    claims = [
        claim(
            f"{choice.label} has a smoother surface than ReLU",
            rough[surface, RELU, width] - value,
            surface=surface,
            precision=named(width),
        )
        for (surface, choice, width), value in rough.items()
        if choice is not RELU
    ]
    return {"study": NAME, "plan": asdict(plan), "reach": REACH, "rows": rows, "claims": claims}


def _axis(surface: str, points: int) -> Tensor:
    return torch.linspace(-REACH[surface], REACH[surface], points)


def losses(plan: Plan, function: Function, data: Data, device: str) -> tuple[Tensor, Tensor]:
    """Losses around every trained network, (seeds, points, points), and the networks' test accuracies."""
    stack = trained(plan, function, data, device)
    scores = networks.accuracy(stack.predict(data.test_inputs, function), data.test_targets)
    inputs, targets = data.inputs[: plan.images], data.targets[: plan.images]
    axis = _axis("loss", plan.loss_points)
    points = torch.cartesian_prod(axis, axis).to(device)
    surfaces = []
    for seed in range(plan.seeds):
        ways = directions(stack, seed)
        parts = [_at(stack, seed, ways, chunk, function, inputs, targets) for chunk in points.split(CHUNK)]
        surfaces.append(torch.cat(parts).view(len(axis), len(axis)))
    return torch.stack(surfaces).double().cpu(), scores.cpu()


def trained(plan: Plan, function: Function, data: Data, device: str) -> networks.Replicas:
    """The networks around which losses are measured, one a seed."""
    seeds = range(plan.seeds)
    stack = networks.Replicas.drawn((data.inputs.shape[1], 24, 16, 10), seeds, networks.gaussian(2.0), device)
    networks.train(
        stack, function, data.inputs, data.targets,
        networks.orders(seeds, len(data.inputs), plan.steps * BATCH),
        batch=BATCH, loss=networks.cross_entropy,
        optimizer=torch.optim.Adam(stack.parameters(), lr=RATE),
    )  # fmt: skip
    return stack


def directions(stack: networks.Replicas, seed: int) -> list[Tensor]:
    """Two directions for each layer of one replica, (2, inputs, outputs), with the weights' column norms."""
    generator = torch.Generator().manual_seed(seed)
    found = []
    for weights in stack.weights:
        drawn = torch.randn(2, *weights.shape[1:], generator=generator).to(weights.device)
        norm = weights[seed].detach().norm(dim=0, keepdim=True)
        found.append(drawn * norm / drawn.norm(dim=1, keepdim=True))
    return found


@torch.no_grad()
def _at(
    stack: networks.Replicas,
    seed: int,
    ways: Sequence[Tensor],
    points: Tensor,
    function: Function,
    inputs: Tensor,
    targets: Tensor,
) -> Tensor:
    """The losses of one replica, moved to each point; the moved networks stand side by side."""
    weights = [
        layer[seed] + torch.einsum("pd,dio->pio", points, way)
        for layer, way in zip(stack.weights, ways, strict=True)
    ]
    biases = [layer[seed].expand(len(points), 1, -1) for layer in stack.biases]
    moved = networks.Replicas(weights, biases)
    outputs = moved.predict(inputs, function)
    return networks.cross_entropy(outputs, moved.spread(targets))


def _outputs(plan: Plan, function: Function, device: str) -> Tensor:
    """Outputs of random networks over a plane, (seeds, points, points)."""
    axis = _axis("output", plan.output_points)
    stack = networks.Replicas.drawn(PLANE, range(plan.seeds), networks.gaussian(2.0), device)
    found = stack.predict(torch.cartesian_prod(axis, axis).to(device), function)
    return found.view(plan.seeds, len(axis), len(axis)).double().cpu()


def roughness(surfaces: Tensor) -> Tensor:
    """How unevenly surfaces bend; (seeds, points, points) -> (seeds,)."""
    uneven, bend = torch.zeros(len(surfaces)).double(), torch.zeros(len(surfaces)).double()
    for dim in (1, 2):
        second = surfaces.diff(n=2, dim=dim)
        uneven += second.diff(dim=dim).abs().sum(dim=(1, 2))
        bend += second.abs().sum(dim=(1, 2))
    return uneven / (2 * bend)


def minima(surfaces: Tensor) -> Tensor:
    """How many inner points are below all eight neighbours; (seeds, points, points) -> (seeds,)."""
    middle = surfaces[:, 1:-1, 1:-1]
    size = surfaces.shape[1] - 2
    shifts = [(i, j) for i in range(3) for j in range(3) if (i, j) != (1, 1)]
    below = [middle < surfaces[:, i : i + size, j : j + size] for i, j in shifts]
    return torch.stack(below).all(dim=0).double().sum(dim=(1, 2))


def figure(results: Results) -> Figure:
    """The first seed's surfaces: losses above, outputs below, in float and at the narrowest width."""
    rows = results["rows"]
    precisions = list(dict.fromkeys(row["precision"] for row in rows))
    columns = [(label, p) for p in dict.fromkeys([precisions[0], precisions[-1]]) for label in DRAWN_LABELS]
    with styled(1.5 * len(columns), 3.6) as picture:
        grid = picture.subplots(2, len(columns), squeeze=False)
        for surface, line in zip(REACH, grid, strict=True):
            for (label, precision), axes in zip(columns, line, strict=True):
                _draw(axes, rows, surface, label, precision)
            line[0].set_ylabel({"loss": "loss over weights", "output": "output over inputs"}[surface])
    return picture


def _draw(axes: Any, rows: Sequence[dict[str, Any]], surface: str, label: str, precision: str) -> None:
    where = (surface, label, precision)
    (row,) = [r for r in rows if (r["surface"], r["activation"], r["precision"]) == where]
    values = torch.tensor(row["grid"])
    image = (values.log() if surface == "loss" else values).T.numpy()
    reach = REACH[surface]
    box = (-reach, reach, -reach, reach)
    axes.imshow(image, origin="lower", extent=box, interpolation="nearest")
    axis = _axis(surface, len(values)).numpy()
    lines = axes.contour(axis, axis, image, levels=5, colors="white", linewidths=0.5)
    lines.set_rasterized(True)  # on a staircase they have many thousand points
    axes.set(xticks=[], yticks=[])
    axes.grid(visible=False)
    title = f"{label}, {precision}\n" if surface == "loss" else ""
    axes.set_title(f"{title}roughness {rounded(row['roughness']['mean']):.2f}", fontsize=8)
