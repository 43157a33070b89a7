# SPDX-License-Identifier: Apache-2.0
"""What the tests of the C golden model share: strict compilation under sanitizers, runs over all codes."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hwact.formats import Format
from hwact.golden import c_type
from hwact.tools import find_verilator

WARNINGS = ("-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Werror", "-pedantic")
SANITIZERS = ("-fsanitize=undefined,address", "-fno-sanitize-recover=all")
STRICT = ("-std=c99", "-O1", *WARNINGS, *SANITIZERS)

# For every code in order: from arrays, one by one, and both again with other bits above the code's own.
MAIN = """
#include <stdio.h>
#include "{name}_golden.h"
#define COUNT {count}
static {input} codes[COUNT], dirty[COUNT];
static {output} results[2][COUNT];
static int64_t answers[4];
int main(void) {{
  for (int32_t i = 0; i < COUNT; i++) {{
    codes[i] = ({input})(i + ({low}));
    dirty[i] = ({input})(codes[i] ^ ({input})({above}));
  }}
  {name}_golden_array(codes, results[0], 0);
  {name}_golden_array(codes, results[0], COUNT);
  {name}_golden_array(dirty, results[1], COUNT);
  for (int32_t i = 0; i < COUNT; i++) {{
    answers[0] = results[0][i];
    answers[1] = results[1][i];
    answers[2] = {name}_golden(i + ({low}));
    answers[3] = {name}_golden((i + ({low})) ^ (int32_t)0x{wide_above:x});
    fwrite(answers, sizeof answers, 1, stdout);
  }}
  return 0;
}}
"""


def compiler(command: str = "gcc") -> str:
    """The path of a compiler, which must be there."""
    path = shutil.which(command)
    assert path, f"{command} must be on PATH; install the system package {command}"
    return path


def build(folder: Path, *sources: Path, flags: tuple[str, ...] = STRICT, command: str = "gcc") -> Path:
    """Compile sources into a program."""
    program = folder / "program"
    arguments = [compiler(command), *flags, f"-I{folder}", *map(str, sources), "-o", str(program)]
    done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return program


def run(program: Path, given: bytes = b"") -> bytes:
    """What a program makes of its input; it must find nothing undefined."""
    done = subprocess.run([program], input=given, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()[-3000:]
    return done.stdout


def verilator_environment(folder: Path) -> dict[str, str]:
    """Variables with which a command finds Verilator, the one that hwact uses, and what it needs."""
    simulator = find_verilator()
    for name, target in simulator.links.items():  # no links: its makefiles name the program as it was called
        script = folder / name
        script.write_text(f'#!/bin/sh\nexec "{target}" "$@"\n', encoding="utf-8")
        script.chmod(0o755)
    path = os.pathsep.join([str(folder), os.environ.get("PATH", os.defpath)])
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("MAKE", "VERILATOR"))}
    return kept | {"PATH": path, **simulator.environment}


def answers(folder: Path, source: Format, sink: Format, main: str = MAIN) -> npt.NDArray[np.int64]:
    """Results over all input codes of the bundle in a folder, shape ``(codes, 4)``."""
    spare = 8 * source.dtype.itemsize - source.width
    text = main.format(
        name=folder.name,
        count=1 << source.width,
        low=source.min_code,
        input=c_type(source),
        output=c_type(sink),
        above=0
        if spare == 0
        else (0x5A5A5A5A << source.width) & ((1 << (8 * source.dtype.itemsize - 1)) - 1),
        wide_above=(0x5A5A5A5A << source.width) & 0x7FFFFFFF,
    )
    path = folder / "main.c"
    path.write_text(text, encoding="utf-8")
    output = run(build(folder, path, folder / f"{folder.name}_golden.c"))
    return np.frombuffer(output, dtype=np.int64).reshape(-1, 4)
