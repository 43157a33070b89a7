# SPDX-License-Identifier: Apache-2.0
"""The architecture's rules, read from the sources: levels, licences, file lengths, no special cases."""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

import hwact.functions

ROOT = Path(__file__).parents[1]

# A module's level is that of its longest prefix here; imports point to lower levels or within one folder.
LEVELS = {
    "hwact.errors": 0,
    "hwact.discovery": 0,
    "hwact.formats": 1,
    "hwact.functions.algebra": 1,
    "hwact.functions.expr": 1,
    "hwact.functions.primitives": 1,
    "hwact.functions.shape": 1,
    "hwact.functions.spec": 1,
    "hwact.functions": 2,
    "hwact.exact": 2,
    "hwact.reference": 3,
    "hwact.tools": 2,
    "hwact.datapath": 3,
    "hwact.architectures": 4,
    "hwact.accuracy": 5,
    "hwact.proof": 5,
    "hwact.design": 5,
    "hwact.output": 5,
    "hwact.pairs": 5,
    "hwact.runtime": 5,
    "hwact.interfaces": 6,
    "hwact.naming": 6,
    "hwact.normalisation": 6,
    "hwact.golden": 6,
    "hwact.description": 6,
    "hwact.hardware": 6,
    "hwact.systemverilog": 6,
    "hwact.fusesoc": 6,
    "hwact.unit": 6,
    "hwact.bundle": 6,
    "hwact.recordings": 6,
    "hwact.requantise": 7,
    "hwact.sim": 6,
    "hwact.evaluation": 7,
    "hwact.verify": 8,
    "hwact.synth": 7,
    "hwact.jobs": 7,
    "hwact.tailoring": 7,
    "hwact.torch": 7,
    "hwact.gluon_kernels": 7,
    "hwact.numba_kernels": 6,
    "hwact.triton_kernels": 7,
    "hwact.report": 7,
    "hwact.compare": 8,
    "hwact.entries": 8,
    "hwact.effort": 8,
    "hwact.explore": 8,
    "hwact.export": 9,
    "hwact.onnx": 9,
    "hwact.page": 8,
    "hwact.studies": 9,
    "hwact.cli": 10,
    "hwact.commands": 10,
    "hwact.options": 10,
    "hwact.console": 10,
    "hwact.tailor": 10,
    "hwact.study": 10,
    "hwact.__main__": 10,
    "hwact.cocotb": 10,
    "hwact": 10,
}


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    parts = ("hwact", *parts) if parts[0] == "sim" else parts
    return ".".join(parts).removesuffix(".__init__")


SOURCES = {module_name(p): p for folder in ("hwact", "sim") for p in sorted((ROOT / folder).rglob("*.py"))}
TREES = {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in SOURCES.items()}
FOLDERS = (".ci", "benchmarks", "examples", "hwact", "sim", "tests")
SCRIPTS = [
    p for f in FOLDERS for p in sorted((ROOT / f).rglob("*")) if p.suffix in (".py", ".sh") or f == ".ci"
]


def level(module: str) -> int:
    known = [prefix for prefix in LEVELS if f"{module}.".startswith(f"{prefix}.") and prefix != "hwact"]
    if module == "hwact":
        return LEVELS["hwact"]
    assert known, f"{module} must have a level, not none; add it to the table LEVELS in tests/test_levels.py"
    return LEVELS[max(known, key=len)]


def package(module: str) -> str:
    return module if SOURCES[module].name == "__init__.py" else module.rpartition(".")[0]


def imports(module: str) -> Iterator[str]:
    """Every hwact module that a module imports, wherever in its text."""
    for node in ast.walk(TREES[module]):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            source = ".".join(filter(None, (package(module) if node.level else "", node.module)))
            full = [f"{source}.{alias.name}" for alias in node.names]
            names = [name if name in SOURCES else source for name in full]
        yield from (name for name in names if name.split(".")[0] == "hwact")


@pytest.mark.parametrize("module", SOURCES)
def test_imports_point_to_lower_levels(module: str) -> None:
    for target in imports(module):
        own, its = level(module), level(target)
        same_folder = own == its and SOURCES[module].parent == SOURCES[target].parent
        assert its < own or same_folder, f"{module} (level {own}) must not import {target} (level {its})"


def special_cases(tree: ast.Module) -> Iterator[str]:
    """Catalogue names that a comparison or a `case` spells out."""
    names = set(hwact.functions.names())
    for node in ast.walk(tree):
        if isinstance(node, (ast.Compare, ast.MatchValue)):
            found = {n.value for n in ast.walk(node) if isinstance(n, ast.Constant) and n.value in names}
            yield from (f"line {node.lineno}: {name!r}" for name in sorted(map(str, found)))


@pytest.mark.parametrize("module", [name for name in SOURCES if not name.startswith("hwact.functions")])
def test_no_function_is_a_special_case(module: str) -> None:
    assert not list(special_cases(TREES[module])), "what differs between functions must be data in functions/"


def test_a_special_case_would_be_seen() -> None:
    text = 'if spec.name in ("gelu", "x") or "relu" != name: pass\nmatch name:\n    case "tanh": pass'
    assert len(list(special_cases(ast.parse(text)))) == 3


@pytest.mark.parametrize("module", SOURCES)
def test_no_text_is_run_as_code(module: str) -> None:
    calls = [node.func for node in ast.walk(TREES[module]) if isinstance(node, ast.Call)]
    names = {func.id for func in calls if isinstance(func, ast.Name)}
    assert not names & {"eval", "exec", "compile", "__import__"}


def test_every_script_names_its_licence_and_stays_short() -> None:
    assert len(SCRIPTS) > 20, "the search for scripts must find them"
    for path in SCRIPTS:
        lines = path.read_text(encoding="utf-8").splitlines()
        assert "# SPDX-License-Identifier: Apache-2.0" in lines[:2], path
        assert len(lines) <= 450, f"{path} must have at most 450 lines, not {len(lines)}; split it"


def test_every_package_is_installed() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    packages = {name for name, path in SOURCES.items() if path.name == "__init__.py"}
    assert sorted(packages) == sorted(project["tool"]["setuptools"]["packages"])
