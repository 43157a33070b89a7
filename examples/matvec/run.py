# SPDX-License-Identifier: Apache-2.0
"""A layer of a trained network in hardware: the engine against its golden model, on real images.

A 64-32-10 network with GELU learns scikit-learn's digits; its first layer becomes integers and runs in the
simulated engine, its second, which has no activation, in NumPy's integers.

Run ``python examples/matvec/run.py`` from the repository; it needs PyTorch and scikit-learn
(``pip install -e ".[test]"``).
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

import hwact  # noqa: E402
from examples.matvec.engine import PORTS, WATCHED, Engine, Integers, Layer  # noqa: E402
from hwact import requantise  # noqa: E402
from hwact.requantise import RequantisingUnit, Scaled  # noqa: E402
from hwact.tools import find_simulator, tail  # noqa: E402
from hwact.verify.builds import Source, Store, build  # noqa: E402
from hwact.verify.process import run_job, work_folder  # noqa: E402

PIXELS = 16  # a pixel of 1.0 as an input code
SEED = 1


def simulate(
    verilog: str, layer: Layer, unit: RequantisingUnit, x: Integers, simulator: str
) -> Integers | str:
    """The engine's output codes of int8 vectors, shape ``(count, outputs)``; or why the bench failed."""
    outputs = len(layer.bias)
    tool = find_simulator(simulator)
    with work_folder() as work, tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        np.savez(folder / "layer.npz", x=x, **asdict(layer))
        (folder / "unit.json").write_text(json.dumps(unit.manifest()), encoding="utf-8")
        outward = ("i_ready", "o_data", "o_valid", *WATCHED)
        ports = {port: "output" if port in outward else "input" for port in PORTS}
        source = Source(verilog=verilog.encode(), suffix=".v", top="engine", ports=ports, waves=False)
        built, _ = build(tool, source, Store(None), work)
        arguments = {
            "hdl_toplevel": "engine",
            "build_dir": str(built),
            "test_module": "examples.matvec.bench",
            "hdl_toplevel_lang": "verilog",
            "test_dir": str(work),
            "results_xml": str(work / "results.xml"),
        }
        search = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
        run_job(tool, work, "test", arguments, 300, {"MATVEC": name, "PYTHONPATH": search})
        if not (work / "results.xml").is_file():
            return tail(work / "test.out")
        cases = list(ElementTree.parse(work / "results.xml").getroot().iter("testcase"))
        failure = next((found for case in cases for found in case.iter("failure")), None)
        if failure is not None or not (folder / "words.npy").is_file():
            return "no result" if failure is None else failure.get("message", "")
        words = np.load(folder / "words.npy").reshape(-1, outputs)
    sign = 1 << (unit.output_format.width - 1)
    return (words ^ sign) - sign if unit.output_format.signed else words


def quantised(
    weights: np.ndarray, bias: np.ndarray, input_ulp: float
) -> tuple[Integers, Integers, np.ndarray]:
    """int8 weights, the biases in the accumulators' ulps, and those: one for each output."""
    scale = np.abs(weights).max(axis=1) / 127
    ulp = scale * input_ulp
    return np.rint(weights / scale[:, None]).astype(np.int64), np.rint(bias / ulp).astype(np.int64), ulp


def main() -> None:
    """Train, quantise, simulate, compare."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=30, help="how many are simulated (default 30)")
    parser.add_argument("--simulator", default="auto", help="auto, verilator or icarus")
    options = parser.parse_args()
    import torch
    from torch import nn

    from examples.quantised_training import accuracy, load, train

    torch.set_num_threads(1)
    train_pixels, pixels, train_labels, labels = load()
    network = train(nn.GELU, train_pixels, train_labels, 100, hidden=(32,))
    floats = accuracy(network, pixels, labels)
    first, _, last = (
        [parameter.detach().double().numpy() for parameter in layer.parameters()] for layer in network
    )

    *integers, ulp = quantised(first[0], first[1], 1 / PIXELS)
    layer = Layer(*integers)
    unit = requantise.build(Scaled.of(requantise.channels(ulp), hwact.build("gelu", width=8)))
    x = np.rint(pixels.numpy() * PIXELS).astype(np.int64)
    hidden = unit.form.evaluate(layer.sums(x))
    weights, bias, ulp = quantised(last[0], last[1], float(unit.output_format.ulp))
    decisions = ((hidden.astype(np.int64) @ weights.T + bias) * ulp).argmax(axis=1)

    found = simulate(Engine(layer, unit).verilog(), layer, unit, x[: options.images], options.simulator)
    if isinstance(found, str):
        raise SystemExit(found)
    same = np.array_equal(found, hidden[: options.images])
    print(f"images simulated: {len(found)}, {found.size} codes, equal to the integer model: {same}")
    share = (decisions == labels.numpy()).mean()
    print(f"accuracy on {len(x)} images: float {floats:.4f}, integer engine {share:.4f}")


if __name__ == "__main__":
    main()
