# SPDX-License-Identifier: Apache-2.0
"""The command `tailor`, descriptions of networks, and PyTorch modules."""

from __future__ import annotations

import json
import math
import shlex
from pathlib import Path
from typing import Any

import pytest

from hwact.errors import ArgumentError
from hwact.tailoring import Layers, Network, Residual, from_module, read
from tests.commands import Run, assert_refused, manifest, rows

pytestmark = pytest.mark.usefixtures("here")

TOML = """
[[network]]
layers = 2

[[network]]
repeat = 3
shortcut = 0.8

[[network.branch]]
layers = 2
"""
NETWORK = Network((Layers(2), Residual(Network((Layers(2),)), 0.8, 3)))


def test_trelu_for_fifty_layers(run: Run) -> None:
    done = run("tailor", "--depth", "50", "--eta", "0.9")
    assert (done.code, done.err) == (0, "")
    exact, one, two = rows(done.out)
    assert exact[:5] == ["exact", "0.430522948502", "1.29894778632", "1.000000", "0.900000"]
    assert one[:2] == ["1 signed digit", "0.5"]
    assert (two[1], two[4]) == ("0.4375", "0.895831")
    last = done.out.splitlines()[-1]
    assert last == "next: python -m hwact generate trelu --negative-slope 7/16 --width 8"


def test_a_tighter_tolerance_takes_more_digits(run: Run) -> None:
    found = run("tailor", "--depth", "50", "--tolerance", "0.003", "--json").json()
    assert [row["digits"] for row in found["roundings"]] == [1, 2, 3]
    assert found["roundings"][2]["error"] <= 0.003 < found["roundings"][1]["error"] < 0.006


def test_the_next_command_makes_the_unit(run: Run, here: Path) -> None:
    last = run("tailor", "smelu", "--depth", "20").out.splitlines()[-1]
    command = shlex.split(last.removeprefix("next: python -m hwact "))
    assert run(*command).code == 0
    facts = manifest(here / "build" / "tailored_smelu")
    assert facts["expression"] == command[command.index("--expression") + 1]
    assert facts["accuracy"]["class"] == "correct"
    assert facts["accuracy"]["codes_checked"] == 256


@pytest.mark.parametrize(
    ("words", "name"),
    [
        ([], "trelu_negative_slope0_4375_sq4_4"),
        (["tanh"], "tailored_tanh"),
        (["tanh", "--name", "mine"], "mine"),
    ],
)
def test_a_width_makes_the_unit_and_maps_it(run: Run, here: Path, words: list[str], name: str) -> None:
    found = run("tailor", *words, "--depth", "50", "--width", "8", "--json").json()
    assert set(found) == {"layers", "constants", "maps", "roundings", "generate", "unit"}
    assert found["unit"]["folder"] == f"build/{name}"
    assert manifest(here / "build" / name)["name"] == name
    assert found["roundings"][-1]["error"] <= 0.01 < found["roundings"][-2]["error"]
    assert found["unit"]["c_0.9"] == pytest.approx(found["maps"]["c_0.9"], abs=0.04)
    shown = run("tailor", *words, "--depth", "50", "--width", "8")
    assert rows(shown.out)[-1][0] == name
    assert shown.out.splitlines()[-1] == f"next: python -m hwact verify build/{name}"


def test_digits_may_be_given_and_maps_that_blow_up_are_empty(run: Run) -> None:
    found = run("tailor", "smelu", "--depth", "50", "--method", "dks", "--digits", "1", "--json").json()
    (row,) = found["roundings"]
    assert row["digits"] == 1
    assert row["error"] is None
    assert set(row["maps"].values()) == {None}


def test_the_same_network_in_three_descriptions(run: Run, here: Path) -> None:
    from torch import nn

    (here / "net.toml").write_text(TOML)
    (here / "net.json").write_text(
        json.dumps({"network": [{"layers": 2}, {"branch": [{"layers": 2}], "shortcut": 0.8, "repeat": 3}]})
    )
    assert read("net.toml") == read("net.json") == NETWORK
    assert NETWORK.layers == 8

    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.branch = nn.Sequential(nn.Conv2d(4, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3), nn.ReLU())
            self.shortcut = 0.8

    module = nn.Sequential(
        nn.Flatten(), nn.Linear(4, 4), nn.Tanh(), nn.Sequential(nn.Linear(4, 4), nn.GELU()), *(Block(),) * 3
    )
    one = Residual(Network((Layers(1), Layers(1))), 0.8)
    assert from_module(module) == Network((Layers(1), Layers(1), one, one, one))
    assert from_module(module).layers == 8
    found = run("tailor", "--network", "net.toml", "--eta", "0.4", "--json").json()
    step = found["constants"]["alpha"]
    assert found["maps"]["peak_c0"] == pytest.approx(0.4, abs=1e-9)
    factor = (1 - step) ** 2 / (1 + step**2) / math.pi

    def local(c: float) -> float:
        return c + factor * (math.sqrt(1 - c * c) - c * math.acos(c))

    c = local(local(0.0))
    for _ in range(3):
        c = 0.64 * c + 0.36 * local(local(c))
    assert found["maps"]["c_0.0"] == pytest.approx(c, abs=1e-12)
    with pytest.raises(ArgumentError, match=r"a module must be made of .*not 'BatchNorm1d'"):
        from_module(nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2), nn.ReLU()))
    with pytest.raises(ArgumentError, match="1 to 10000 layers, not 0"):
        from_module(nn.Sequential(nn.Linear(2, 2)))


DESCRIPTIONS: list[tuple[Any, str]] = [
    ([], "a description must hold the key 'network' alone, not .*"),
    ({"network": []}, "a network must be a list of parts, .*not .*"),
    ({"network": [{"layers": 0}]}, "layers must be an integer from 1 to 10000, not 0"),
    ({"network": [{"layers": 2, "width": 3}]}, "a part must be layers alone, .*not .*"),
    ({"network": [{"branch": [{"layers": 2}], "shortcut": 1}]}, "a shortcut weight must be .*not 1"),
    ({"network": [{"branch": [{"layers": 2}], "shortcut": 0, "repeat": True}]}, "repeat must be .*not True"),
    (
        {"network": [{"branch": [{"layers": 9999}], "shortcut": 0, "repeat": 99}]},
        "a network must have .*not 989901",
    ),
]


@pytest.mark.parametrize(("content", "message"), DESCRIPTIONS)
def test_bad_descriptions_are_refused(run: Run, here: Path, content: Any, message: str) -> None:
    (here / "net.json").write_text(json.dumps(content))
    assert_refused(run("tailor", "--network", "net.json"), message)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "one of --depth and --network must be given, not None and .*"),
        (["--depth", "0"], "the depth must be an integer from 1 to 10000, not 0"),
        (["--network", "net.yaml"], "a description must be .json or .toml, not 'net.yaml'; .*"),
        (["--network", "none.toml"], "a description must be a file that can be read, not 'none.toml' .*"),
        (["--depth", "5", "--method", "gpt"], "the method must be tat or dks, not 'gpt'"),
        (["--depth", "5", "--method", "dks"], "the method of TReLU must be tat, not 'dks'; .*"),
        (["tanh", "--depth", "5", "--eta", "0.5"], "the goal must be --tau here, not --eta 0.5; .*"),
        (["--depth", "50", "--tolerance", "0"], "the tolerance must be above 0, not 0.0"),
        (
            ["tanh", "--depth", "50", "--tolerance", "1e-30"],
            "the tolerance must be one that 16 .*not 1e-30; .*",
        ),
        (["--depth", "50", "--name", "mine"], r"a unit must have --width or .*not \['name'\] alone; add one"),
        (["--depth", "50", "--width", "0"], ".*not .*"),
        (["--depth", "3"], "eta must be .* at most 0.604825, .*not 0.9; .*"),
    ],
)
def test_bad_arguments_are_refused(run: Run, here: Path, words: list[str], message: str) -> None:
    assert_refused(run("tailor", *words), message)
    assert not list(here.iterdir())
