# SPDX-License-Identifier: Apache-2.0
"""The loops of a processor: codes by twos, and their threads. All else of them is in test_torch.py."""

from __future__ import annotations

import os
import signal
import threading

import pytest
import torch

import hwact
from hwact import numba_kernels
from hwact.torch import Activation


@pytest.mark.parametrize(
    "formats", [("SQ4.4", "SQ4.4"), ("UQ2.4", "SQ4.12"), ("SQ2.3", "SQ4.20"), ("SQ4.4", "UQ0.32")]
)
def test_codes_of_8_bits_side_by_side(formats: tuple[str, str]) -> None:
    """Every pair of bytes; and an odd number of codes, which go one by one."""
    unit = hwact.build("gelu", input_format=formats[0], output_format=formats[1])
    module, mask = Activation(unit), (1 << unit.input_format.width) - 1
    low = torch.arange(256).repeat(256)
    both = torch.stack([low, torch.arange(256).repeat_interleave(256)], dim=1).to(torch.uint8)
    ordered = torch.from_numpy(unit.evaluate(unit.input_format.codes()))
    expected = ordered[(both.int() & mask) - unit.input_format.min_code & mask]
    checked = 0
    for codes, due in ((both, expected), (both.view(torch.int8), expected), (both.T, expected.T)):
        assert torch.equal(module.evaluate(codes).long(), due.long())
        checked += codes.numel()
    odd = module.evaluate(both.flatten()[1:])
    assert torch.equal(odd.long(), expected.flatten()[1:].long())
    assert checked + odd.numel() == 4 * (1 << 17) - 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forks")
def test_a_fork_has_threads_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    gelu = hwact.build("gelu", width=16)
    module, codes = Activation(gelu), torch.from_numpy(gelu.input_format.codes()).to(torch.int16)
    monkeypatch.setattr(numba_kernels, "_PIECE", 999)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    expected = module.evaluate(codes).numpy().tobytes()
    assert any("ThreadPool" in thread.name for thread in threading.enumerate())
    child = os.fork()
    if child == 0:
        signal.alarm(20)
        os._exit(module.evaluate(codes).numpy().tobytes() != expected)  # threads of PyTorch's hang here
    assert os.waitpid(child, 0)[1] == 0
