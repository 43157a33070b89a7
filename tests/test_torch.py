# SPDX-License-Identifier: Apache-2.0
"""Units as PyTorch modules: bit-exact with the golden model, their gradients, compiled and exported."""

from __future__ import annotations

import copy
import io
import pickle
import re
import runpy
import subprocess
import sys
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import hwact
from hwact import numba_kernels
from hwact import torch as hwact_torch
from hwact.errors import ArgumentError
from hwact.formats import Overflow, Rounding
from hwact.torch import Activation
from hwact.unit import Unit

FLOATS = (torch.float32, torch.float64)


@pytest.fixture(params=["at_once", "in_pieces"])
def path(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Either way through a tensor on the CPU; in pieces that do not divide the sizes used here."""
    monkeypatch.setattr(numba_kernels, "_PIECE", 999)
    if request.param == "at_once":
        monkeypatch.setattr(hwact_torch, "_is_plain", lambda source: False)


@pytest.fixture(scope="module")
def gelu() -> Unit:
    return hwact.build("gelu", width=16)


@pytest.fixture(scope="module")
def small() -> Unit:
    return hwact.build("gelu", width=8)


def beside_codes(unit: Unit, dtype: torch.dtype) -> Tensor:
    """All quarters of an ulp to twice the range, each with its neighbours in the type."""
    source = unit.input_format
    quarters = torch.arange(8 * source.min_code - 9, 8 * source.max_code + 9, dtype=dtype)
    values = quarters * float(source.ulp) / 4
    ends = torch.tensor(torch.inf, dtype=dtype)
    values = torch.cat([values, values.nextafter(ends), values.nextafter(-ends)])
    return values[(values == 0) | (values.abs() > torch.finfo(dtype).tiny)]  # halved, a subnormal vanishes


def exactly(unit: Unit, values: Tensor) -> Tensor:
    """The unit's results by rational arithmetic, one value at a time."""
    source, spec = unit.input_format, unit.spec
    codes = [source.quantise(Fraction(v), spec.rounding, spec.overflow) for v in values.tolist()]
    return torch.from_numpy(unit.output_format.values(unit.evaluate(codes))).to(values.dtype)


@pytest.mark.usefixtures("path")
@pytest.mark.parametrize("overflow", Overflow)
@pytest.mark.parametrize("rounding", Rounding)
@pytest.mark.parametrize("formats", [("SQ3.3", "SQ3.4"), ("UQ2.3", "UQ2.6"), ("SQ6.-1", "SQ7.-2")])
def test_every_tie_and_its_neighbours(formats: tuple[str, str], rounding: str, overflow: str) -> None:
    unit = hwact.build(
        "leaky_relu",
        input_format=formats[0],
        output_format=formats[1],
        rounding=rounding,
        overflow=overflow,
        negative_slope=0.25,
    )
    module, checked = Activation(unit), 0
    for dtype in FLOATS:
        values = beside_codes(unit, dtype)
        assert torch.equal(module(values), exactly(unit, values))
        checked += values.numel()
    codes = 1 << unit.input_format.width
    assert checked >= 2 * (3 * 8 * codes - 2)


AFFINE = [
    ("int6:0.05f:-3", "uint5:0.0123f:7"),
    ("uint6:1/20:9", "SQ3.4"),
    ("SQ3.3", "int6:0.3:-5"),
    ("int6:0.25:2", "int6:0.5:1"),
]


@pytest.mark.usefixtures("path")
@pytest.mark.parametrize("overflow", Overflow)
@pytest.mark.parametrize("rounding", Rounding)
@pytest.mark.parametrize("formats", AFFINE)
def test_affine_formats(formats: tuple[str, str], rounding: str, overflow: str) -> None:
    """Every quarter of a step that float32 can say, with its neighbours."""
    unit = hwact.build(
        "leaky_relu",
        input_format=formats[0],
        output_format=formats[1],
        rounding=rounding,
        overflow=overflow,
        negative_slope=0.25,
    )
    module = Activation(unit)
    values = beside_codes(unit, torch.float32)
    assert torch.equal(module(values), exactly(unit, values))
    assert values.numel() >= 3 * 8 * 64 - 2
    codes = unit.input_format.codes()
    assert torch.equal(module.evaluate(torch.from_numpy(codes)), torch.from_numpy(unit.evaluate(codes)))


@pytest.mark.usefixtures("path")
def test_all_codes_of_16_bits(gelu: Unit) -> None:
    module, codes = Activation(gelu), torch.arange(-(1 << 15), 1 << 15)
    values = codes.float() / 4096
    expected = torch.from_numpy(gelu.evaluate(codes.numpy()))
    for dtype in (torch.int16, torch.int32, torch.int64):
        result = module.evaluate(codes.to(dtype))
        assert result.dtype == dtype
        assert torch.equal(result.long(), expected)
    assert torch.equal(module(values), expected.float() / 4096)
    assert torch.equal(module(values).double(), torch.from_numpy(gelu(values.numpy())))
    assert codes.numel() == 65536


@pytest.mark.usefixtures("path")
def test_only_the_low_bits_of_a_code_count(small: Unit) -> None:
    module, codes = Activation(small), torch.arange(-5000, 5000)
    expected = small.evaluate((codes.numpy() + 128) % 256 - 128)
    assert torch.equal(module.evaluate(codes), torch.from_numpy(expected))
    assert module.evaluate(codes.to(torch.uint8)).dtype == torch.int8


@pytest.mark.usefixtures("path")
def test_codes_come_in_a_type_that_holds_them() -> None:
    formats = {"input_format": "SQ4.4", "output_format": "UQ0.12"}
    module = Activation(hwact.build("sigmoid", **formats, accuracy="correct"))
    codes = torch.arange(-128, 128, dtype=torch.int8)
    assert module.evaluate(codes).dtype == torch.int16
    assert module.evaluate(codes)[-1] == 4095
    assert module.evaluate(codes.long()).dtype == torch.int64
    unsigned = Activation(hwact.build("sigmoid", input_format="SQ4.4", output_format="UQ0.8"))
    assert unsigned.evaluate(codes).dtype == torch.int16


@pytest.mark.usefixtures("path")
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_read_exactly_and_written_rounded(gelu: Unit, dtype: torch.dtype) -> None:
    values = torch.linspace(-9, 9, 3001).to(dtype)
    result = Activation(gelu)(values)
    assert result.dtype == dtype
    assert torch.equal(result, torch.from_numpy(gelu(values.double().numpy())).to(dtype))


@pytest.mark.usefixtures("path")
def test_any_shape_stride_and_default_type(gelu: Unit) -> None:
    module, values = Activation(gelu), torch.linspace(-9, 9, 5040).reshape(7, 8, 9, 10)
    whole = torch.from_numpy(gelu(values.numpy())).float()
    assert torch.equal(module(values.transpose(0, 3)), whole.transpose(0, 3))
    assert torch.equal(module(values[::2, :, 3]), whole[::2, :, 3])
    assert module(values[:0]).shape == (0, 8, 9, 10)
    assert torch.equal(module(values[0, 0, 0, 0]), whole[0, 0, 0, 0])
    torch.set_default_dtype(torch.float64)
    try:
        assert module(values).dtype == torch.float32
    finally:
        torch.set_default_dtype(torch.float32)


@pytest.mark.usefixtures("path")
def test_what_is_no_number() -> None:
    saturating = Activation(hwact.build("tanh", width=8))
    wrapping = Activation(hwact.build("tanh", width=8, overflow="wrap"))
    inf, nan = torch.inf, torch.nan
    values = torch.tensor([nan, inf, -inf, 2.0**61, 0.5, -0.0]).repeat(200)
    expected = torch.tensor([nan, 1, -1, 1, 0.4375, 0]).repeat(200)
    assert torch.equal(saturating(values).nan_to_num(7), expected.nan_to_num(7))
    expected = torch.tensor([nan, nan, nan, nan, 0.4375, 0]).repeat(200)
    assert torch.equal(wrapping(values).nan_to_num(7), expected.nan_to_num(7))
    most = torch.tensor([2.0**58 - 2.0**34, -(2.0**58) + 2.0**34, 2.0**58]).repeat(400)  # 2**62 ulp
    assert torch.equal(wrapping(most).nan_to_num(7), torch.tensor([0.0, 0, 7]).repeat(400))


def test_other_types_are_refused(gelu: Unit) -> None:
    module = Activation(gelu)
    with pytest.raises(ArgumentError, match=r"values must be floats, not torch\.int16; pass codes"):
        module(torch.zeros(3, dtype=torch.int16))
    for dtype in (torch.float32, torch.bool, torch.complex64):
        with pytest.raises(ArgumentError, match=r"codes must be integers, not torch\.\w+; call the module"):
            module.evaluate(torch.zeros(3, dtype=dtype))


def gradient(module: nn.Module, values: Tensor) -> Tensor:
    leaf = values.clone().requires_grad_(True)
    module(leaf).backward(torch.full_like(values, 2))
    assert leaf.grad is not None
    return leaf.grad / 2


def all_values(unit: Unit, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.from_numpy(unit.input_format.codes()).to(dtype) * float(unit.input_format.ulp)


@pytest.mark.usefixtures("path")
def test_the_exact_slope(gelu: Unit) -> None:
    values = all_values(gelu, torch.float64)
    leaf = values.clone().requires_grad_(True)
    nn.functional.gelu(leaf).sum().backward()
    assert leaf.grad is not None
    wanted = leaf.grad.clone()
    wanted[[0, -1]] = 0
    assert (gradient(Activation(gelu), values) - wanted).abs().max() < 1e-7
    assert torch.equal(Activation(gelu)(values), torch.from_numpy(gelu(values.numpy())))


@pytest.mark.usefixtures("path")
def test_the_slope_of_hardware(small: Unit) -> None:
    unit = hwact.build("gelu", width=8, gradient=True)
    values = all_values(small)
    wanted = torch.from_numpy(unit(values.numpy())).float()
    assert wanted[-1] == 1
    wanted[[0, -1]] = 0
    module = Activation(small, backward=unit)
    assert torch.equal(gradient(module, values), wanted)
    beyond = torch.tensor([9.0, -9, torch.inf, 7.9]).repeat(500)
    assert torch.equal(gradient(module, beyond), torch.tensor([0.0, 0, 0, 1]).repeat(500))
    assert "gelu_grad_sq4_4" in repr(module)


@pytest.mark.usefixtures("path")
def test_the_slope_that_goes_straight_through(small: Unit) -> None:
    values = all_values(small)
    wanted = torch.ones(256)
    wanted[[0, -1]] = 0
    assert torch.equal(gradient(Activation(small, backward="straight_through"), values), wanted)


@pytest.mark.parametrize("backward", ["exact", "straight_through", "hardware"])
def test_no_slope_where_the_output_saturates(backward: str) -> None:
    options: dict[str, Any] = {"input_format": "SQ4.2", "negative_slope": 0.25}
    slope = hwact.build("leaky_relu", gradient=True, **options) if backward == "hardware" else backward
    module = Activation(hwact.build("leaky_relu", output_format="SQ2.2", **options), backward=slope)
    found = gradient(module, torch.arange(-8, 8, 0.25))
    alive = torch.arange(-8, 8, 0.25).clamp(-7.75, 7.5) == torch.arange(-8, 8, 0.25)
    alive &= torch.arange(-8, 8, 0.25) <= 1.75  # 2 is above the largest code and half an ulp
    assert torch.equal(found != 0, alive)
    assert int(alive.sum()) == 39


def test_a_unit_that_wraps_has_a_slope_everywhere() -> None:
    module = Activation(hwact.build("tanh", width=6, overflow="wrap"), backward="straight_through")
    assert torch.equal(gradient(module, torch.arange(-20.0, 20)), torch.ones(40))


def test_a_pair_has_its_own_slope(small: Unit) -> None:
    exact: dict[str, Any] = {"width": 8, "accuracy": "correct"}
    pair = hwact.build("gelu", with_gradient=True, gradient_format="SQ2.9", **exact)
    alone = hwact.build("gelu", gradient=True, output_format="SQ2.9", **exact)
    values = all_values(small)
    due = gradient(Activation(small, backward=alone), values)
    assert due.unique().numel() > 90
    for unit in (pair, small):
        module = Activation(unit, backward=pair)
        assert torch.equal(module(values), Activation(small)(values))
        assert torch.equal(gradient(module, values), due)
    with pytest.raises(ArgumentError, match=f"derivative of silu from .*, not '{pair.name}'; build"):
        Activation(hwact.build("silu", width=8), backward=pair)


def test_other_slopes_are_refused(small: Unit) -> None:
    with pytest.raises(ArgumentError, match=r"backward must be 'exact', .*, not 'ste'; build one with"):
        Activation(small, backward="ste")
    for other in (hwact.build("gelu", width=6, gradient=True), small):
        with pytest.raises(
            ArgumentError, match=rf"derivative of gelu from SQ4\.4, not '{other.name}'; build"
        ):
            Activation(small, backward=other)


def test_a_wide_input_is_refused(small: Unit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hwact_torch, "TABLE_BITS", 7)
    with pytest.raises(ArgumentError, match="at most 7 bits to be a module, not 8"):
        Activation(small)


def test_it_is_copied_saved_and_moved(small: Unit) -> None:
    module, values = Activation(small), all_values(small)
    expected, slopes = module(values), gradient(module, values)
    buffer = io.BytesIO()
    torch.save(module, buffer)
    buffer.seek(0)
    loaded = torch.load(buffer, weights_only=False)
    for other in (copy.deepcopy(module), pickle.loads(pickle.dumps(module)), loaded):
        assert torch.equal(other(values), expected)
        assert repr(other) == repr(module) == "Activation(gelu_sq4_4, SQ4.4 to SQ4.4, backward=exact)"
    assert not module.state_dict()
    assert len(pickle.dumps(module)) < 10_000
    narrow = copy.deepcopy(module).half().float()
    assert torch.equal(narrow(values), expected)
    assert torch.equal(gradient(narrow, values), slopes)
    assert module.to("meta")(torch.zeros(5, 7, device="meta")).shape == (5, 7)


@pytest.mark.usefixtures("path")
@pytest.mark.parametrize("count", [0, 1, 998, 999, 1000, 4 * 999 + 1])
def test_the_last_piece_may_be_short(gelu: Unit, count: int) -> None:
    module, codes = Activation(gelu), torch.arange(-count, count)[::2].to(torch.int16)
    due = torch.from_numpy(gelu.evaluate(codes.long().numpy()))
    assert torch.equal(module.evaluate(codes).long(), due)
    assert torch.equal(module(codes.double() / 4096), due / 4096)


@pytest.mark.usefixtures("path")
@pytest.mark.parametrize("formats", [("SQ4.4", "SQ4.4"), ("int8:0.05:7", "int8:0.05")])
@pytest.mark.parametrize("overflow", list(Overflow))
def test_what_has_no_code_has_the_slope_at_zero(formats: tuple[str, str], overflow: Overflow) -> None:
    unit = hwact.build("gelu", input_format=formats[0], output_format=formats[1], overflow=overflow)
    values = torch.tensor([torch.nan, torch.inf, -torch.inf])
    ends = 0.5 if overflow is Overflow.WRAP else 0.0
    assert torch.equal(gradient(Activation(unit), values), torch.tensor([0.5, ends, ends]))


@pytest.mark.usefixtures("path")
def test_codes_of_fewer_bits_than_the_format_keep_their_sign(gelu: Unit) -> None:
    module, codes = Activation(gelu), torch.arange(-128, 128)
    signed, unsigned = module.evaluate(codes.to(torch.int8)), module.evaluate(codes[128:].to(torch.uint8))
    due = torch.from_numpy(gelu.evaluate(codes.numpy()))
    assert torch.equal(signed.long(), due)
    assert torch.equal(unsigned.long(), due[128:])


def trained(module: nn.Module, call: Callable[[Tensor], Tensor], values: Tensor) -> Iterator[Tensor]:
    """Results, and the gradients of the weights."""
    module.zero_grad()
    result = call(values)
    result.square().sum().backward()
    yield result.detach()
    yield from (parameter.grad.clone() for parameter in module.parameters() if parameter.grad is not None)


def network(unit: Unit, backward: str) -> nn.Module:
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(4, 8), Activation(unit, backward), nn.Linear(8, 3))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of PyTorch's own
@pytest.mark.parametrize("backward", ["exact", "straight_through"])
def test_compiled_it_is_one_graph_with_the_same_results(small: Unit, backward: str) -> None:
    module = network(small, backward)
    compiled = torch.compile(module, fullgraph=True, backend="aot_eager", dynamic=True)
    for size in (5, 9):
        values = torch.randn(size, 4) * 4
        pairs = list(zip(trained(module, module, values), trained(module, compiled, values), strict=True))
        assert len(pairs) == 5
        assert all(torch.equal(a, b) for a, b in pairs)


def test_compiled_codes(small: Unit) -> None:
    module = Activation(small)
    compiled = torch.compile(module.evaluate, fullgraph=True, backend="aot_eager")
    codes = torch.arange(-128, 128, dtype=torch.int8)
    assert torch.equal(compiled(codes), torch.from_numpy(small.evaluate(codes.numpy())))


def test_exported_it_needs_nothing_of_hwact(small: Unit) -> None:
    module = network(small, "exact")
    exported = torch.export.export(
        module, (torch.randn(5, 4),), dynamic_shapes=({0: torch.export.Dim("n", min=1)},)
    )
    buffer = io.BytesIO()
    torch.export.save(exported, buffer)
    buffer.seek(0)
    loaded = torch.export.load(buffer)
    called = {str(node.target).split(".")[0] for node in loaded.graph.nodes if node.op == "call_function"}
    assert called <= {"aten", "<built-in function getitem>"}, called
    values = torch.randn(11, 4) * 4
    assert torch.equal(loaded.module()(values), module(values))


@pytest.mark.slow  # compiles C++
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of PyTorch's own
def test_compiled_to_machine_code_all_codes_are_the_same(gelu: Unit) -> None:
    from torch._inductor import metrics

    module, values = Activation(gelu), all_values(gelu).repeat(3)
    values[::777] = torch.nan
    metrics.reset()
    compiled = torch.compile(module, fullgraph=True)
    assert torch.equal(compiled(values).nan_to_num(9), module(values).nan_to_num(9))
    assert metrics.generated_kernel_count == 1
    leaf = values.clone().requires_grad_(True)
    compiled(leaf).backward(torch.ones_like(values))
    assert leaf.grad is not None
    assert torch.equal(leaf.grad, gradient(module, values))


def test_the_page_does_what_it_says(tmp_path: Path) -> None:
    page = Path(__file__).parents[1] / "docs" / "pytorch.md"
    (block,) = re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    script = tmp_path / "block.py"
    script.write_text(block, encoding="utf-8")
    names = runpy.run_path(str(script))
    assert type(names["network"][1]) is nn.GELU
    assert type(names["hardware"][1]) is Activation
    assert names["scores"].shape == (5, 10)
    assert torch.equal(names["values"] * 16, names["codes"].float())
    assert names["codes"].tolist() == [-3, 0, 13]


def test_hwact_alone_imports_neither_torch_nor_cocotb() -> None:
    # Of libraries whose symbols are shared, the compiler's kernels would call each other's code.
    script = (
        "import sys; flags = sys.getdlopenflags(); import hwact.cli; assert sys.getdlopenflags() == flags; "
        "assert not {'torch', 'cocotb'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
