"""Promises that no single room can keep: the command line starts without Qt, and no file that is read can run code."""

import ast
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parent.parent
SOURCES = sorted(path for folder in ("faceeditor", "training") for path in (ROOT / folder).rglob("*.py"))


def test_the_command_line_loads_neither_qt_nor_vispy():
    code = "import sys, faceeditor.cli; print({'PySide6', 'vispy'} & {name.partition('.')[0] for name in sys.modules})"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "set()"


def calls(path):
    return (node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Call))


def test_no_file_that_is_read_can_run_code():
    unsafe = []
    for path in SOURCES:
        text = path.read_text(encoding="utf-8")
        unsafe += [f"{path}: imports {name}" for name in ("pickle", "joblib", "dill") if f"import {name}" in text]
        for call in calls(path):
            keywords = {word.arg: ast.unparse(word.value) for word in call.keywords}
            if ast.unparse(call.func) == "torch.load" and keywords.get("weights_only") != "True":
                unsafe.append(f"{path}:{call.lineno}: torch.load without weights_only=True")
            if keywords.get("allow_pickle") == "True":
                unsafe.append(f"{path}:{call.lineno}: allow_pickle=True")
    assert len(SOURCES) > 20
    assert unsafe == []


def test_no_file_grows_beyond_reading():
    long = {str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines()) for path in SOURCES}
    assert {name: lines for name, lines in long.items() if lines > 600} == {}


def imported(path):
    """The top-level names of what a module imports."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (name.name.partition(".")[0] for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.module.partition(".")[0]


def test_every_import_is_declared():
    """A library that only another library brings along would be missing one day."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    base, training = project["dependencies"], project["optional-dependencies"]["training"]
    declared = {
        folder: {Requirement(line).name.lower() for line in lines}
        for folder, lines in (
            ("faceeditor", base),
            ("training", base + training),
        )
    }
    origins = packages_distributions()
    ours = {*sys.stdlib_module_names, "faceeditor", "training"}
    missing = {
        (str(path.relative_to(ROOT)), name)
        for path in SOURCES
        for name in set(imported(path)) - ours
        if not {origin.lower().replace("_", "-") for origin in [name, *origins.get(name, [])]}
        & {name.replace("_", "-") for name in declared[path.relative_to(ROOT).parts[0]]}
    }
    assert missing == set()
