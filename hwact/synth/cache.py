# SPDX-License-Identifier: Apache-2.0
"""Results that are kept from run to run, under the digest of all that they depend on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from fcntl import LOCK_EX, flock
from pathlib import Path
from typing import Any

from hwact.errors import ArgumentError
from hwact.tools import write_at_once


def digest(*facts: object) -> str:
    """The key of a result that depends on these facts and nothing else."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


class Cache:
    """A folder of JSON values; an entry that is damaged counts as absent.

    Parameters
    ----------
    folder : Path
        Made where it is missing.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def get(self, key: str) -> Any:
        """The value under a key; None where there is none that is whole."""
        try:
            text = (self.folder / f"{key}.json").read_text(encoding="utf-8")
            entry = json.loads(text)
            whole = entry["key"] == key and entry["sha256"] == digest(entry["value"])
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return None
        return entry["value"] if whole else None

    def put(self, key: str, value: Any) -> None:
        """Keep a value of plain JSON types."""
        entry = {"key": key, "sha256": digest(value), "value": value}
        with self._writing():
            write_at_once(self.folder / f"{key}.json", json.dumps(entry).encode())

    @contextmanager
    def lock(self, name: str) -> Iterator[None]:
        """Wait until no other process is within a lock of that name."""
        with self._writing():
            stream = (self.folder / f"{name}.lock").open("w")
        with stream:
            flock(stream, LOCK_EX)
            yield

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            yield
        except OSError as error:
            raise ArgumentError(
                f"the cache folder must be one with room that can be written, not {str(self.folder)!r} "
                f"({error.strerror or error}); set XDG_CACHE_HOME to another"
            ) from None
