# SPDX-License-Identifier: Apache-2.0
"""A bundle's manifest, its digests, and the same unit built once more to compare with."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hwact.errors import BundleError, HwactError
from hwact.formats import Format
from hwact.requantise import RequantisingUnit
from hwact.requantise import rebuilt as rebuilt_requantising
from hwact.unit import Unit, rebuilt

BLOCK = 1 << 20

AnyUnit = Unit | RequantisingUnit

_ABSENT = object()


@dataclass(frozen=True)
class Bundle:
    """A generated unit's folder: its name, its manifest as read, and its Verilog's bytes."""

    folder: Path
    name: str
    manifest: Mapping[str, Any]
    verilog: bytes

    @property
    def verilog_path(self) -> Path:
        """The bundle's own Verilog file."""
        return self.folder / f"{self.name}.v"


def read_bundle(folder: str | Path, *, check_digest: bool = True) -> Bundle:
    """Read a bundle.

    Raises
    ------
    BundleError
        The folder is no bundle, its manifest cannot be read, or (unless `check_digest` is off)
        its Verilog is not the one that the manifest was written for.
    """
    path = Path(folder).resolve()
    name = path.name
    manifest = _read_manifest(Path(folder), path / f"{name}.json")
    try:
        verilog = (path / f"{name}.v").read_bytes()
    except OSError as error:
        raise BundleError(
            f"a bundle must hold {name}.v, not {error.strerror!r} in {str(path)!r}; generate it again"
        ) from None
    digest, claim = hashlib.sha256(verilog).hexdigest(), manifest.get("verilog_sha256")
    if check_digest and digest != claim:
        raise BundleError(
            f"the sha256 of {name}.v must be the manifest's {claim!r}, not {digest!r}: the file was edited; "
            f"generate it again, or put it under test with --verilog {path / f'{name}.v'}"
        )
    return Bundle(path, name, manifest, verilog)


def _read_manifest(folder: Path, path: Path) -> Mapping[str, Any]:
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except OSError:
        raise BundleError(
            f"the folder must be a bundle with a manifest {path.name}, not {str(folder)!r}; "
            "python -m hwact generate writes one"
        ) from None
    except (ValueError, RecursionError) as error:
        raise BundleError(f"{path} must be JSON, not broken ({error}); generate it again") from None
    if not isinstance(manifest, dict) or manifest.get("name") != path.stem:
        name = manifest.get("name") if isinstance(manifest, dict) else manifest
        raise BundleError(
            f"{path} must be the manifest of {path.stem!r}, not {name!r}; "
            "keep the folder's name, or generate it again with --name"
        )
    return manifest


def rebuild(bundle: Bundle) -> AnyUnit:
    """The unit that the manifest describes, built once more."""
    try:
        is_requantising = "channels" in bundle.manifest
        return rebuilt_requantising(bundle.manifest) if is_requantising else rebuilt(bundle.manifest)
    except (HwactError, KeyError, TypeError, ValueError) as error:
        raise BundleError(
            f"{bundle.name}.json must describe a unit that this hwact can build, not {_reason(error)}; "
            "generate it again"
        ) from error


def _reason(error: Exception) -> str:
    return f"one without the key {error}" if isinstance(error, KeyError) else f"one that fails: {error}"


def false_claims(manifest: Mapping[str, Any], unit: AnyUnit) -> Iterator[str]:
    """Every key whose value is not that of the rebuilt unit, with both values."""
    truth = _flat(json.loads(json.dumps(unit.manifest())))
    claims = _flat(manifest)
    for key in sorted(claims.keys() | truth.keys()):
        claim, true = claims.get(key, _ABSENT), truth.get(key, _ABSENT)
        if not _same(claim, true):
            yield f"manifest key {key!r} must be {_shown(true)}, as in the rebuilt unit, not {_shown(claim)}"


def golden_claim(manifest: Mapping[str, Any], unit: AnyUnit) -> Iterator[str]:
    """Whether the golden model's codes have the digest that the manifest states."""
    digest = unit.golden_sha256 if isinstance(unit, RequantisingUnit) else golden_sha256(unit)
    if digest != manifest.get("golden_sha256"):
        yield (
            f"golden_sha256 must be {digest!r}, the digest of the golden model's codes, "
            f"not {manifest.get('golden_sha256')!r}"
        )


def golden_sha256(unit: Unit) -> str:
    """The digest of the little-endian output codes over the codes that a unit's digest is over, in order."""
    codes, dtype = unit.digested_codes, _little_endian(unit.output_format)
    digest = hashlib.sha256()
    for start in range(0, codes.size, BLOCK):
        digest.update(unit.evaluate(codes[start : start + BLOCK]).astype(dtype).tobytes())
    return digest.hexdigest()


def _little_endian(number_format: Format) -> np.dtype[Any]:
    size = next(size for size in (1, 2, 4, 8) if 8 * size >= number_format.width)
    return np.dtype(f"<{'i' if number_format.signed else 'u'}{size}")


def _flat(data: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in data.items():
        nested = isinstance(value, dict) and value
        flat |= _flat(value, f"{prefix}{key}.") if nested else {f"{prefix}{key}": value}
    return flat


def _same(claim: object, true: object) -> bool:
    """Equal, and not by JSON's looks: ``true`` is not 1."""
    return claim is true or (type(claim) is type(true) and claim == true)


def _shown(value: object) -> str:
    return "absent" if value is _ABSENT else repr(value)
