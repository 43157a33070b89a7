# SPDX-License-Identifier: Apache-2.0
"""The mathematics of the studies: what they measure, on cases worked out by hand or by another way."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import hwact
from hwact import report, studies
from hwact.errors import ArgumentError
from hwact.normalisation import MovingStatistics
from hwact.studies import batch, data, depth, networks, reproducibility, statistics, surface, vanishing
from hwact.studies.activations import RELU, Choice, smelus
from hwact.studies.plan import Plan
from hwact.tailoring import plain, tailored_rectifier

FEW = (RELU, *smelus(1))


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """As the command has it: sums in one order, and no threads that wait for a busy core."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_prediction_difference_of_hand_made_predictions() -> None:
    p, q = torch.tensor([[0.2, 0.5], [0.1, 0.9]]), torch.tensor([[0.3, 0.5], [0.3, 0.9]])
    found = statistics.prediction_difference(p, q)
    assert found.tolist() == pytest.approx([(2 * 0.1 / 0.5 + 0) / 2, (2 * 0.2 / 0.4 + 0) / 2])
    assert torch.equal(found, statistics.prediction_difference(q, p))
    assert statistics.prediction_difference(p, p).tolist() == [0, 0]


def test_churn_is_the_share_of_other_decisions() -> None:
    p = torch.tensor([[0.1, 0.9], [0.8, 0.2], [0.4, 0.6], [0.7, 0.3]])
    q = torch.tensor([[0.2, 0.8], [0.1, 0.9], [0.0, 0.1], [0.6, 0.4]])
    assert statistics.churn(p, q).item() == 0.25


def test_the_interval_is_students() -> None:
    found = statistics.interval([1, 2, 3, 4])
    reach = 3.182446305284263 * math.sqrt(5 / 3) / 2  # the 97.5 % point for three degrees of freedom
    assert found == {
        "mean": 2.5,
        "low": pytest.approx(2.5 - reach, rel=1e-5),
        "high": pytest.approx(2.5 + reach, rel=1e-5),
    }
    assert statistics.interval([1, math.nan])["mean"] is None


def test_intervals_hold_the_mean_as_often_as_they_say() -> None:
    drawn = np.random.default_rng(1).normal(3, 2, (2000, 5))
    held = [statistics.interval(row) for row in drawn]
    share = np.mean([one["low"] <= 3 <= one["high"] for one in held])  # type: ignore[operator]
    assert abs(share - 0.95) < 0.02


@pytest.mark.parametrize(
    ("gains", "verdict"),
    [
        ([1, 1.1], "appears"),
        ([-1, -1.1], "reversed"),
        ([-1, 1.1], "undecided"),
        ([1, math.nan], "undecided"),
    ],
)
def test_verdicts(gains: list[float], verdict: str) -> None:
    found = statistics.claim("so it is", gains, at=8)
    assert (found["verdict"], found["at"]) == (verdict, 8)


def test_a_click_log_is_what_it_says() -> None:
    log = data.click_log(3000, 500)
    assert log.inputs.shape == (3000, 192)
    assert log.test_inputs.shape == (500, 192)
    shown = log.inputs.view(3000, data.FIELDS, data.VALUES)
    assert torch.equal(shown.sum(dim=2), torch.ones(3000, data.FIELDS))
    counts = shown.sum(dim=(0, 1))
    assert counts[0] / counts[9] == pytest.approx(10, rel=0.2)  # popularity falls as 1 / rank
    assert 0.1 < log.targets.mean() < 0.35
    assert set(log.targets.tolist()) == {0, 1}
    again, other = data.click_log(3000, 500), data.click_log(3000, 500, seed=1)
    assert all(map(torch.equal, log, again))
    assert not torch.equal(log.inputs, other.inputs)


def test_digits_have_no_idle_pixel_and_none_is_in_both_parts() -> None:
    found = data.digits()
    assert (found.inputs.shape, found.test_inputs.shape) == ((1347, 60), (450, 60))
    assert bool((found.inputs.amin(dim=0) < found.inputs.amax(dim=0)).all())
    centred = data.centred(found)
    assert torch.allclose(centred.test_inputs.square().mean(dim=1), torch.ones(450))


def test_an_order_is_shuffled_epochs() -> None:
    found = networks.orders([3, 4], 10, 25)
    assert found.shape == (2, 25)
    for row in found:
        assert sorted(row[:10].tolist()) == sorted(row[10:20].tolist()) == list(range(10))
        assert len(set(row[20:].tolist())) == 5
    assert torch.equal(found[1], networks.orders([4], 10, 25)[0])


def test_initial_weights_have_the_variance_asked_for() -> None:
    generator = torch.Generator().manual_seed(0)
    assert networks.gaussian(2.0)(400, 100, generator).var().item() == pytest.approx(2 / 400, rel=0.03)
    for inputs, outputs in ((64, 64), (64, 10), (10, 64)):
        weights = networks.orthogonal(1.5)(inputs, outputs, generator)
        assert weights.square().mean().item() == pytest.approx(1.5**2 / inputs, rel=1e-4)
        gram = weights.T @ weights if inputs >= outputs else weights @ weights.T
        assert torch.allclose(gram, gram[0, 0] * torch.eye(len(gram)), atol=1e-5)


def alone(stack: networks.Replicas, replica: int, function: Any) -> nn.Sequential:
    """One replica as ordinary modules of PyTorch."""

    class Function(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return function(x)

    modules: list[nn.Module] = []
    for weights, biases in zip(stack.weights, stack.biases, strict=True):
        layer = nn.Linear(weights.shape[1], weights.shape[2])
        layer.weight.data.copy_(weights[replica].T)
        layer.bias.data.copy_(biases[replica, 0])
        modules += [layer, Function()]
    return nn.Sequential(*modules[:-1])


@pytest.mark.parametrize("width", [None, 6])
def test_replicas_train_as_networks_of_their_own(width: int | None) -> None:
    function = smelus(1)[0].at(width, "cpu")
    stack = networks.Replicas.drawn((5, 7, 6, 3), [1, 2], networks.gaussian(2.0))
    inputs = torch.randn(40, 5, generator=torch.Generator().manual_seed(0))
    targets = torch.arange(40) % 3
    singles = [alone(stack, replica, function) for replica in range(2)]
    order, rates = networks.orders([5, 6], 40, 30), torch.tensor([0.1, 0.02])
    optimizer = torch.optim.SGD(stack.parameters(), lr=1, momentum=0.9)
    curve = networks.train(
        stack, function, inputs, targets, order,
        batch=10, loss=networks.cross_entropy, optimizer=optimizer, rates=rates,
    )  # fmt: skip
    assert curve.shape == (3, 2)
    for replica, single in enumerate(singles):
        own = torch.optim.SGD(single.parameters(), lr=rates[replica].item(), momentum=0.9)
        for step, chosen in enumerate(order[replica].split(10)):
            own.zero_grad()
            loss = nn.functional.cross_entropy(single(inputs[chosen]), targets[chosen])
            assert curve[step, replica].item() == pytest.approx(loss.item(), abs=1e-5)
            loss.backward()
            own.step()
        first = next(single.parameters())
        assert torch.allclose(first.T, stack.weights[0][replica], atol=1e-5)
        assert torch.allclose(single(inputs), stack.predict(inputs, function)[replica], atol=1e-4)


@pytest.mark.parametrize("choice", FEW, ids=lambda choice: choice.label)
def test_the_forward_pass_is_the_golden_model_and_the_backward_pass_the_gradient_unit(choice: Choice) -> None:
    unit, gradient = choice.units(7)
    function = choice.at(7, "cpu")
    stack = networks.Replicas.drawn((4, 9, 3), [1, 2, 3], networks.gaussian(20.0))
    x = torch.randn(50, 4, generator=torch.Generator().manual_seed(0))
    before, after = stack.forward(stack.spread(x), function)
    hidden = torch.from_numpy(unit(before.detach().numpy())).float()
    codes = unit.quantise(before.detach().numpy())
    ends = (codes == unit.input_format.min_code) | (codes == unit.input_format.max_code)
    assert 20 < ends.sum() < codes.size / 2
    assert hidden.numel() == 3 * 50 * 9
    assert torch.equal(function(before), hidden)
    slopes = np.where(ends, 0, gradient.output_format.values(gradient.evaluate(codes)))
    target = torch.zeros(50, 3)
    error = 2 * (after.detach() - target) / (50 * 3)
    delta = error @ stack.weights[1].detach().mT * torch.from_numpy(slopes).float()
    networks.squared_error(after, target).sum().backward()
    assert stack.weights[0].grad is not None
    assert torch.allclose(stack.weights[0].grad, x.T @ delta, atol=1e-5)
    assert torch.allclose(stack.weights[1].grad, hidden.mT @ error, atol=1e-5)  # type: ignore[arg-type]


def test_gradients_by_layer_are_autograds() -> None:
    stack = networks.Replicas.drawn((6, 5, 4, 5, 6), [1, 2], networks.gaussian(2.0))
    function = smelus(1)[0].at(None, "cpu")
    x = torch.rand(30, 6, generator=torch.Generator().manual_seed(0))
    weights, units = vanishing.gradients(stack, function, x)
    assert [unit.shape for unit in units] == [(2, 5), (2, 4), (2, 5)]
    seen = vanishing.Gradients.of(stack, function, x, x)
    for replica in range(2):
        single = alone(stack, replica, function)
        nn.functional.mse_loss(single(x), x).backward()
        layers = [module for module in single if isinstance(module, nn.Linear)]
        for layer, found, sizes in zip(layers, weights, seen.sizes.T, strict=True):
            assert layer.weight.grad is not None
            assert torch.allclose(layer.weight.grad.T, found[replica], atol=1e-7)
            assert sizes[replica].item() == pytest.approx(
                layer.weight.grad.square().mean().sqrt().item(), rel=1e-4
            )
        assert seen.errors[replica].item() == pytest.approx(nn.functional.mse_loss(single(x), x).item())


def test_dead_units_and_their_weights_are_counted() -> None:
    stack = networks.Replicas.drawn((6, 4, 6), [1, 2], networks.gaussian(2.0))
    with torch.no_grad():
        stack.weights[0].copy_(stack.weights[0].abs())
        stack.biases[0][0, 0, :3] = -100.0  # three of four units of the first replica, none of the second
    x = torch.rand(30, 6, generator=torch.Generator().manual_seed(0))
    seen = vanishing.Gradients.of(stack, RELU.at(None, "cpu"), x, x)
    assert seen.zero_units.tolist() == [3 / 4, 0]
    assert seen.zero_weights.tolist() == [3 / 4, 0]  # of the weights to these units, and of those from them
    assert seen.sizes.shape == (2, 2)


def test_autoencoders_are_symmetric() -> None:
    assert vanishing.sizes(5, 60) == [60, 31, 16, 31, 60]
    for layers in vanishing.FULL.layers:
        found = vanishing.sizes(layers, 60)
        assert (len(found), found[layers // 2], found) == (layers, vanishing.CODE, found[::-1])


def test_the_best_rate_is_none_that_blew_up() -> None:
    final = torch.tensor([math.nan, 0.1, 0.5, 0.6, 0.9, 0.8])
    assert networks.best_rate(final, 2) == 1


def grid(function: Any) -> Tensor:
    axis = torch.linspace(-1, 1, 21, dtype=torch.float64)
    return function(axis[:, None], axis[None, :])[None]


def test_roughness_of_surfaces_worked_out_by_hand() -> None:
    even = surface.roughness(grid(lambda x, y: x**2 + 3 * y**2))
    kink = surface.roughness(grid(lambda x, y: x.abs() + 0 * y))
    noise = torch.randn(1, 300, 300, generator=torch.Generator().manual_seed(0)).double()
    assert even.item() == pytest.approx(0, abs=1e-12)
    assert kink.item() == pytest.approx(1, abs=1e-12)
    # third differences of noise have the variance 20, second ones 6
    assert surface.roughness(noise).item() == pytest.approx(math.sqrt(20 / 6) / 2, rel=0.01)


def test_minima_are_counted_inside() -> None:
    assert surface.minima(grid(lambda x, y: x**2 + y**2)).tolist() == [1]
    assert surface.minima(grid(lambda x, y: -(x**2) - y**2)).tolist() == [0]
    assert surface.minima(grid(lambda x, y: ((x.abs() - 0.5) ** 2) + y**2)).tolist() == [2]


def test_the_loss_surface_goes_through_the_trained_network_along_its_directions() -> None:
    plan = replace(surface.QUICK, loss_points=3, steps=3, images=20)
    found = data.digits()
    function = RELU.at(None, "cpu")
    surfaces, _ = surface.losses(plan, function, found, "cpu")
    stack = surface.trained(plan, function, found, "cpu")
    ways = surface.directions(stack, 1)
    for weights, way in zip(stack.weights, ways, strict=True):
        assert torch.allclose(way.norm(dim=1), weights[1].norm(dim=0).expand(2, -1))
    for (i, j), (first, second) in {(1, 1): (0, 0), (2, 1): (1, 0), (0, 2): (-1, 1)}.items():
        single = alone(stack, 1, function)
        layers = [module for module in single if isinstance(module, nn.Linear)]
        for layer, way in zip(layers, ways, strict=True):
            layer.weight.data += (first * way[0] + second * way[1]).T
        loss = nn.functional.cross_entropy(single(found.inputs[:20]), found.targets[:20])
        assert surfaces[1, i, j].item() == pytest.approx(loss.item(), rel=1e-4)


def test_the_integer_rule_is_the_golden_model_of_the_component() -> None:
    rule = batch.RULE
    kept = batch.IntegerStatistics((2, 3), "cpu")
    x = 4 * torch.randn(2, 8, 3, generator=torch.Generator().manual_seed(0))
    kept.see(x[:, :5])
    kept.see(x[:, 5:])
    single = MovingStatistics(input_format=rule.input_format, shift=rule.shift)
    compared = 0
    for replica in range(2):
        for unit in range(3):
            state = 0, 0
            for value in x[replica, :, unit].tolist():
                state = single.update(*state, math.floor(value * 256 + 0.5))
            assert (kept.registers[0][replica, unit], kept.registers[1][replica, unit]) == state
            assert kept.mean[replica, unit].item() == pytest.approx(state[0] / 2 ** (8 + 7))
            assert kept.variance[replica, unit].item() == pytest.approx(state[1] / 2 ** (16 + 7))
            compared += 1
    assert compared == 6
    in_float = batch.Statistics((2, 3), "cpu")
    in_float.see(x)
    assert torch.allclose(in_float.mean, kept.mean, atol=0.01)
    assert torch.allclose(in_float.variance, kept.variance, atol=0.05)


def test_batch_statistics_are_pytorchs() -> None:
    stack = batch.Normalised.drawn((5, 4, 3), [1], networks.gaussian(2.0))
    stack.statistics, stack.by_batch = [batch.Statistics((1, 4), "cpu")], True
    x = torch.randn(1, 32, 5, generator=torch.Generator().manual_seed(0))
    hidden = stack.forward(x, RELU.at(None, "cpu"))[0]
    wanted = nn.functional.batch_norm((x @ stack.weights[0])[0], None, None, training=True, eps=batch.EPSILON)
    assert torch.allclose(hidden[0], wanted, atol=1e-6)
    before = copy.deepcopy(stack.statistics[0].mean)
    stack.predict(x[0], RELU.at(None, "cpu"))
    assert torch.equal(before, stack.statistics[0].mean), "testing must not update the averages"


def test_tailored_networks_have_the_slopes_of_tailoring() -> None:
    found = list(depth.subjects(30, ()))
    exact = tailored_rectifier(plain(30), depth.ETA).slope
    rectifiers = [subject for subject in found if subject.choice.label == "trelu"]
    slopes = [Fraction(str(dict(subject.choice.arguments)["negative_slope"])) for subject in rectifiers]
    assert [subject.in_hardware for subject in rectifiers] == [False, False, True]
    assert rectifiers[0].constants == f"exact, slope {float(exact):.4g}"
    assert rectifiers[1].constants.startswith("1 digit, slope 0.")
    assert slopes[0] == exact
    assert slopes[1] in (Fraction(1, 2), Fraction(1, 4))
    assert abs(slopes[2] - exact) < abs(slopes[1] - exact)
    assert slopes[2].denominator <= 64
    assert found[0].choice.label == depth.RELU_AT_HE


TINY: dict[str, Plan] = {
    "reproducibility": reproducibility.Plan(seeds=2, widths=(6,), clicks=64, test_clicks=64, epochs=1),
    "vanishing": vanishing.Plan(seeds=2, widths=(6,), layers=(5,), rates=(0.01,), steps=2, checkpoints=1),
    "depth": depth.Plan(seeds=2, widths=(6,), depths=(8,), bases=(), rates=(0.01,), steps=3),
    "surface": surface.Plan(seeds=2, widths=(6,), loss_points=5, output_points=7, steps=3, images=20),
    "batch": batch.Plan(seeds=2, widths=(6,), batches=(1, 4), rates=(0.01, 0.1), examples=4),
}
ROWS = {"reproducibility": 2 * 2 * 2, "vanishing": 2 * 2 * 2, "depth": 5 + 4, "surface": 2 * 4, "batch": 32}


def test_every_study_is_here() -> None:
    assert set(studies.catalogue()) == set(TINY) == set(ROWS)


@pytest.mark.parametrize("name", TINY)
def test_the_same_plan_gives_the_same_results(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    study = studies.get(name)
    for catalogue in ("CHOICES", "LOSS_CHOICES", "OUTPUT_CHOICES"):
        monkeypatch.setattr(study, catalogue, FEW, raising=False)
    monkeypatch.setattr(surface, "DRAWN_LABELS", tuple(choice.label for choice in FEW))
    monkeypatch.setattr(batch, "WARM_UP", 4)
    monkeypatch.setattr(vanishing, "SIGMOID", FEW[1])
    told: list[tuple[str, int, int]] = []
    first, second = (
        json.dumps(study.run(TINY[name], "cpu", lambda *now: told.append(now))) for _ in range(2)
    )
    assert first == second
    results = json.loads(first)
    assert len(results["rows"]) == ROWS[name]
    assert [done for _, done, _ in told] == 2 * list(range(ROWS[name]))
    assert {total for _, _, total in told} == {ROWS[name]}
    assert {row["precision"] for row in results["rows"]} == {"float", "6 bits"}
    assert all(column in row for row in results["rows"] for column in study.COLUMNS)
    assert results["claims"]
    assert {claim["verdict"] for claim in results["claims"]} <= {"appears", "reversed", "undecided"}
    picture = report.svg(study.figure(results), study.SUMMARY)
    assert picture == report.svg(study.figure(results), study.SUMMARY)
    assert picture.startswith("<?xml")


def test_triples_differ_by_one_thing_each() -> None:
    weights, shuffles = reproducibility.triples(3)
    first, other, shuffled = ([*zip(weights, shuffles, strict=True)][3 * i : 3 * i + 3] for i in range(3))
    for a, b, c in zip(first, other, shuffled, strict=True):
        assert (a[0] != b[0], a[1] == b[1]) == (True, True)
        assert (a[0] == c[0], a[1] != c[1]) == (True, True)
    assert len(set(weights)) == len(set(shuffles)) == 6


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"seeds": 1, "widths": ()}, "seeds must be an integer from 2 to 256, not 1"),
        ({"seeds": 2, "widths": (4,)}, r"widths must be integers from 5 to 24, not \[4\]"),
        ({"seeds": 2, "widths": (8, 25)}, r"widths must be integers from 5 to 24, not \[8, 25\]"),
    ],
)
def test_plans_are_checked(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        Plan(**given)


def test_a_unit_of_a_study_is_what_build_makes() -> None:
    unit, gradient = smelus(0.5)[0].units(8)
    assert unit.golden_sha256 == hwact.build("smelu", width=8, beta=0.5).golden_sha256
    assert gradient.function.is_gradient
