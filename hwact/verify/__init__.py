# SPDX-License-Identifier: Apache-2.0
"""Simulating a bundle's Verilog and proving that it does what its manifest says."""

from hwact.verify.report import PhaseRecord, VerifyReport
from hwact.verify.run import verify

__all__ = ["PhaseRecord", "VerifyReport", "verify"]
