# SPDX-License-Identifier: Apache-2.0
"""The activations of an ONNX model, as units: `python -m hwact onnx`.

Only the model's file is read: no external data, and no constants but single numbers.
"""

from hwact.onnx.activations import Activation, Listing, Unmatched, listing

__all__ = ["Activation", "Listing", "Unmatched", "listing"]
