# SPDX-License-Identifier: Apache-2.0
"""Exceptions that a caller may catch.

Every message has one form: the requirement, the value that broke it as ``not {value!r}``,
and the way out.
"""


class HwactError(Exception):
    """Base of every error that hwact raises on purpose."""

    exit_code = 2


class ArgumentError(HwactError, ValueError):
    """An argument is outside what the function accepts."""


class FormatError(ArgumentError):
    """A number format cannot be parsed, or a number does not fit its format."""


class UnreachableError(ArgumentError):
    """No architecture meets the accuracy that was asked for."""


class BundleError(ArgumentError):
    """A folder is not a bundle, or its files contradict each other."""


class CheckError(HwactError):
    """A check ran and found a difference."""

    exit_code = 1


class ToolError(HwactError):
    """An external tool is missing, too old, or failed."""

    exit_code = 3
