# SPDX-License-Identifier: Apache-2.0
"""Deep networks without shortcuts: which activations train, with rounded constants and in hardware.

Networks of 10 to 100 layers learn the digits. ReLU starts from He's initialisation, and, so that nothing but
the activation differs, from orthogonal weights as all tailored ones do. TReLU has its exact slope, or one of
few signed digits; smooth functions are tailored with all constants exact or of few signed digits. Each is
trained at several learning rates, and shown at the one of the lowest training loss.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from matplotlib.figure import Figure

from hwact.report import COLOURS, MARKERS, styled
from hwact.studies import networks
from hwact.studies.activations import RELU, Choice, smelus
from hwact.studies.data import Data, centred, digits
from hwact.studies.plan import Plan as BasePlan
from hwact.studies.plan import Progress, Results, named
from hwact.studies.statistics import claim, interval
from hwact.tailoring import plain, tailored_rectifier, tat
from hwact.tailoring.networks import Network
from hwact.tailoring.report import roundings
from hwact.tailoring.solve import Rectifier, Tailored

NAME = "depth"
SUMMARY = "networks of 10 to 100 layers without shortcuts, with tailored and rounded activations"
COLUMNS = ("layers", "activation", "constants", "precision", "rate", "accuracy", "loss")
NEURONS = 64
ETA, TAU = 0.8, 0.3  # ten layers of ReLU reach 0.87, so 0.9 is out of their range
TOLERANCE = 0.01  # of the Q and C maps
MOMENTUM = 0.9
CHANCE = 0.1
TAIL, POINTS = 20, 15  # steps whose mean is the final loss; points of a curve
RELU_AT_HE = "relu, He"


@dataclass(frozen=True, kw_only=True)
class Plan(BasePlan):
    """Which networks, and how long they are trained."""

    depths: tuple[int, ...]
    bases: tuple[str, ...]
    rates: tuple[float, ...]
    steps: int
    batch: int = 32


FULL = Plan(
    seeds=12, widths=(8,), depths=(10, 30, 100), bases=("tanh", "smelu"), rates=(0.001, 0.003, 0.01), steps=60
)  # fmt: skip
QUICK = Plan(seeds=2, widths=(8,), depths=(10, 25), bases=("smelu",), rates=(0.01,), steps=40)


class Subject(NamedTuple):
    """An activation, words for its constants, and the initial weights it wants."""

    choice: Choice
    constants: str
    draw: networks.Draw
    in_hardware: bool = True


def subjects(depth: int, bases: tuple[str, ...]) -> Iterator[Subject]:
    """What is trained at a depth, ReLU at He's initialisation first."""
    he, network = networks.gaussian(2.0), plain(depth)
    yield Subject(Choice(RELU_AT_HE, RELU.arguments), "", he)
    yield Subject(Choice("relu, orthogonal", RELU.arguments), "", networks.orthogonal(2**0.5))
    yield Subject(Choice("smelu, He", smelus(1)[0].arguments), "", he)
    yield from _tailored("trelu", tailored_rectifier(network, ETA), network)
    for base in bases:
        yield from _tailored(f"tailored {base}", tat(base, network, TAU), network)


def _tailored(label: str, exact: Tailored, network: Network) -> Iterator[Subject]:
    """With its exact constants, with as few digits as keep the maps of the network, and TReLU with one."""
    rows = roundings(exact, network, TOLERANCE)
    forms = [("exact", exact, False), (_digits(rows[-1].digits), rows[-1].tailored, True)]
    if isinstance(exact, Rectifier) and len(rows) > 1:
        forms.insert(1, (_digits(1), rows[0].tailored, False))
    for words, tailored, in_hardware in forms:
        words += f", slope {float(tailored.slope):.4g}" if isinstance(tailored, Rectifier) else ""
        choice = Choice(label, tuple(tailored.arguments.items()))
        yield Subject(choice, words, networks.orthogonal(1.0), in_hardware)


def _digits(count: int) -> str:
    return f"{count} digit{'s' * (count != 1)}"


def run(plan: Plan, device: str, progress: Progress) -> Results:
    """Train every network at every rate; tailored units have the rounded constants."""
    data = centred(digits()).to(device)
    cells = [
        (depth, subject, width)
        for depth in plan.depths
        for subject in subjects(depth, plan.bases)
        for width in plan.precisions
        if width is None or subject.in_hardware
    ]
    rows: list[dict[str, Any]] = []
    scores: dict[tuple[int, str | None], npt.NDArray[np.float64]] = {}
    claims = []
    for depth, subject, width in cells:
        label = subject.choice.label
        where = {"layers": depth, "activation": label, "constants": subject.constants}
        progress(f"{depth} layers, {label}, {named(width)}", len(rows), len(cells))
        row, score = _trained(plan, depth, subject, width, data, device)
        rows.append({**where, "precision": named(width), **row})
        if label == RELU_AT_HE:
            scores[depth, named(width)] = score
            continue
        gain = score - scores[depth, named(width)]
        text = "has a higher test accuracy than ReLU at He's initialisation"
        claims.append(claim(f"{label} {text}", gain, **where, precision=named(width)))
    return {"study": NAME, "plan": asdict(plan), "rows": rows, "claims": claims}


def _trained(
    plan: Plan, depth: int, subject: Subject, width: int | None, data: Data, device: str
) -> tuple[dict[str, Any], npt.NDArray[np.float64]]:
    """The row of one network, and its test accuracy by seed."""
    function = subject.choice.at(width, device)
    sizes = [data.inputs.shape[1], *[NEURONS] * (depth - 1), 10]
    seeds = list(range(plan.seeds)) * len(plan.rates)
    stack = networks.Replicas.drawn(sizes, seeds, subject.draw, device)
    optimizer = torch.optim.SGD(stack.parameters(), lr=1, momentum=MOMENTUM)
    curve = networks.train(
        stack, function, data.inputs, data.targets,
        networks.orders(seeds, len(data.inputs), plan.steps * plan.batch),
        batch=plan.batch, loss=networks.cross_entropy, optimizer=optimizer,
        rates=torch.tensor(plan.rates, device=device).repeat_interleave(plan.seeds),
    )  # fmt: skip
    tail = curve[-TAIL:].mean(dim=0)
    best = networks.best_rate(tail, plan.seeds)
    chosen = slice(best * plan.seeds, (best + 1) * plan.seeds)
    score = networks.accuracy(stack.predict(data.test_inputs, function), data.test_targets)[chosen]
    steps, losses = networks.means(curve[:, chosen], POINTS)
    row = {
        "rate": plan.rates[best],
        "accuracy": interval(score.cpu()),
        "loss": interval(tail[chosen].cpu()),
        "steps": steps,
        "loss_by_step": losses,
    }
    return row, score.cpu().numpy()


def figure(results: Results) -> Figure:
    """Test accuracy over depth, in float and in hardware, of the rounded constants; and of exact slopes."""
    rows = results["rows"]
    precisions = list(dict.fromkeys(row["precision"] for row in rows))
    labels = list(dict.fromkeys(row["activation"] for row in rows))
    with styled(3.3 * len(precisions), 3.4) as picture:
        line = picture.subplots(1, len(precisions), sharey=True, squeeze=False)[0]
        for axes, precision in zip(line, precisions, strict=True):
            for label, colour, marker in zip(labels, COLOURS, MARKERS, strict=False):
                shown = [r for r in rows if (r["activation"], r["precision"]) == (label, precision)]
                last = {row["layers"]: row["accuracy"] for row in shown}  # of the fewest digits
                means = [value["mean"] for value in last.values()]
                reach = [value["high"] - value["mean"] for value in last.values()]
                axes.errorbar(
                    list(last), means, reach, label=label, color=colour, marker=marker, markersize=4,
                    linewidth=1, capsize=2,
                )  # fmt: skip
            axes.axhline(CHANCE, color="#666666", linewidth=0.7, linestyle="--")
            axes.set(title=precision, xlabel="layers", ylim=(0, 1.02))
        line[0].set_ylabel("test accuracy")
        picture.legend(
            *line[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False
        )
    return picture
