# SPDX-License-Identifier: Apache-2.0
"""The kernel of a GPU, without one: all codes in Triton's interpreter, and when it is taken."""

from __future__ import annotations

import os
import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

import hwact
from hwact import torch as hwact_torch
from hwact.torch import Activation

KERNEL = """
import torch, hwact
from hwact import triton_kernels
from hwact.torch import Activation
triton_kernels._most_programs = lambda device: 3
checked = 0
for width, dtype in ((16, torch.int16), (8, torch.int8), (8, torch.int64)):
    module = Activation(hwact.build("gelu", width=width))
    codes = torch.arange(-(1 << width - 1), (1 << width - 1) - 1).to(dtype)  # no whole number of blocks
    for given in (codes, codes[::3], codes[:0]):
        result = triton_kernels.evaluate(given, module.table, module.numbers.mask, dtype)
        assert result.dtype == dtype
        assert torch.equal(result, module.evaluate(given))
        checked += given.numel()
print(checked)
"""


def test_the_kernel_of_a_gpu_in_tritons_interpreter() -> None:
    """All codes; three programs share them, so that each goes through several blocks."""
    environment = {**os.environ, "TRITON_INTERPRET": "1"}
    done = subprocess.run(
        [sys.executable, "-c", KERNEL], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert int(done.stdout) == 65535 + 21845 + 2 * (255 + 85)


def test_codes_on_a_gpu_go_through_the_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    """As far as it can be told without a GPU: which way is taken, with Triton and without."""

    class OnGpu(Tensor):
        is_cuda = True

    module, taken = Activation(hwact.build("gelu", width=8)), []
    codes = torch.arange(-128, 128, dtype=torch.int8)
    due = module.evaluate(codes)

    def evaluate(*given: Any) -> Tensor:
        taken.append(given[1:])
        return due

    monkeypatch.setattr(hwact_torch, "_triton_kernels", lambda: SimpleNamespace(evaluate=evaluate))
    assert torch.equal(module.evaluate(codes.as_subclass(OnGpu)), due)
    assert taken == [(module.table, 255, torch.int8)]
    monkeypatch.setattr(hwact_torch, "_triton_kernels", lambda: None)
    assert torch.equal(module.evaluate(codes.as_subclass(OnGpu)).as_subclass(Tensor), due)
