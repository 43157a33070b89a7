# SPDX-License-Identifier: Apache-2.0
"""Units in the place of a PyTorch model's activation modules."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import hwact
from hwact.errors import ArgumentError
from hwact.torch import Activation, replace
from hwact.unit import Unit


@pytest.fixture(scope="module")
def small() -> Unit:
    return hwact.build("gelu", width=8)


class Network(nn.Module):
    """Has its activations in several places, one of them twice."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = nn.SiLU()
        self.body = nn.Sequential(nn.Linear(4, 8), nn.GELU(), nn.Linear(8, 8), nn.GELU(), self.gate)
        self.again = self.body[1]

    def forward(self, x: Tensor) -> Tensor:
        return self.again(self.gate(self.body(x)))


def test_replace_puts_units_in_place(small: Unit) -> None:
    torch.manual_seed(1)
    network = Network().eval()
    weights = network.state_dict()
    silu = hwact.build("silu", width=8)
    assert replace(network, {nn.GELU: small, nn.SiLU: (silu, "straight_through")}) is network
    body = network.body
    assert [type(m).__name__ for m in body] == ["Linear", "Activation", "Linear", "Activation", "Activation"]
    assert [m.name for m in (body[1], body[3], body[4])] == ["gelu_sq4_4", "gelu_sq4_4", "silu_sq4_4"]
    assert body[1] is not body[3]
    assert body[1].table is body[3].table
    assert body[4].backward == "straight_through"
    assert not body[1].training
    network.load_state_dict(weights)
    x = torch.randn(5, 4)
    y = network.body[2](torch.from_numpy(small(network.body[0](x).detach().numpy())).float())
    assert torch.equal(body[:4](x).detach(), torch.from_numpy(small(y.detach().numpy())).float())


def test_replace_a_module_alone(small: Unit) -> None:
    module = replace(nn.GELU(), {nn.GELU: small})
    assert isinstance(module, Activation)


def test_replace_refuses_another_function(small: Unit) -> None:
    for kind, unit, module in (
        (nn.GELU, small, nn.GELU(approximate="tanh")),
        (nn.ReLU, small, nn.ReLU()),
        (nn.LeakyReLU, hwact.build("leaky_relu", width=8), nn.LeakyReLU(0.02)),
        (nn.PReLU, hwact.build("leaky_relu", width=8), nn.PReLU()),
        (nn.Softmax, hwact.build("sigmoid", width=8), nn.Softmax(dim=0)),
    ):
        network = nn.Sequential(nn.Linear(4, 4), module)
        with pytest.raises(ArgumentError, match=rf"module '1' must compute .*, not .* as {kind.__name__}\("):
            replace(network, {kind: unit})
        assert network[1] is module


def test_replace_takes_parameters_as_they_are() -> None:
    network = nn.Sequential(nn.PReLU(init=0.125), nn.Softplus(beta=2, threshold=40), nn.ELU())
    units = {
        nn.PReLU: hwact.build("leaky_relu", width=8, negative_slope=0.125),
        nn.ELU: hwact.build("elu", width=8),
    }
    replace(network, units)
    assert [type(m).__name__ for m in network] == ["Activation", "Softplus", "Activation"]


def test_replace_changes_nothing_unless_all_fits(small: Unit) -> None:
    network = Network()
    with pytest.raises(ArgumentError, match=r"modules of class ReLU, not none; .*called as a function"):
        replace(network, {nn.GELU: small, nn.ReLU: hwact.build("relu", width=8)})
    with pytest.raises(ArgumentError, match=r"module 'gate' must compute sigmoid"):
        replace(network, {nn.GELU: small, nn.SiLU: hwact.build("sigmoid", width=8)})
    assert not any(isinstance(module, Activation) for module in network.modules())
