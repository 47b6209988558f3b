"""Imports point one way, files are short and begin by saying what they own, and importing one does nothing visible."""

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from conftest import ROOT

# A module imports only from rows above its own.
LAYERS = (
    {"public", "hub", "instruments", "audio", "mel"},
    {"windows", "plotting", "phases", "reference", "output", "sampling", "dynamics"},
    {"enhancer", "latents", "style", "vocoder"},
    {"inputs"},
    {"pipeline"},
    {"checkpoint"},
    {"__main__"},
)
LAYER_OF = {name: number for number, names in enumerate(LAYERS) for name in names}
MAX_LINES = 250
LIBRARY = sorted((ROOT / "stylediff").glob("*.py"))
TRAINING = sorted((ROOT / "train").glob("*.py"))
PAGE = sorted((ROOT / "stylediff" / "page").glob("*.py"))
SOURCES = [*LIBRARY, *PAGE, *TRAINING, ROOT / "app.py"]
# Where an import's name is not the name of its distribution.
DISTRIBUTIONS = {"PIL": "pillow", "fluidsynth": "pyfluidsynth"}
# Installed without their dependencies or only where they are wanted, see train/requirements.txt.
NOT_LISTED = {"basic_pitch", "spaces", "tinysoundfont", "torchcrepe", "transformers"}


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), str(path))


def imports_of(path: Path) -> set[str]:
    """Dotted names of the modules a file imports, wherever in it."""
    names = set()
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name} has a relative import"
            module = str(node.module)
            inside = module in ("stylediff", "train")
            names |= {f"{module}.{alias.name}" for alias in node.names} if inside else {module}
    return names


def has_main(path: Path) -> bool:
    return any(isinstance(node, ast.FunctionDef) and node.name == "main" for node in tree_of(path).body)


def required(file: str) -> set[str]:
    """Distributions named in a requirements file and those it includes."""
    path = ROOT / file
    names = set()
    for line in path.read_text().splitlines():
        if line.startswith("-r "):
            names |= required(str((path.parent / line[3:].strip()).resolve().relative_to(ROOT)))
        elif line and not line.startswith("#"):
            names.add(re.split(r"[<>=~! ]", line)[0].lower())
    return names


def outside_imports(paths: list[Path]) -> set[str]:
    """Distributions that files import, but for the standard library and this project."""
    tops = {name.split(".")[0] for path in paths for name in imports_of(path)}
    tops -= set(sys.stdlib_module_names) | {"stylediff", "train", "app"} | NOT_LISTED
    return {DISTRIBUTIONS.get(name, name).lower() for name in tops}


@pytest.mark.parametrize("path", LIBRARY, ids=lambda path: path.stem)
def test_a_module_imports_only_lower_layers(path):
    if path.stem == "__init__":
        return
    assert path.stem in LAYER_OF, f"give {path.stem} its place in the layers"
    for name in imports_of(path):
        top, _, inner = name.partition(".")
        assert top not in ("train", "app", "gradio", "accelerate"), f"{path.name} imports {name}"
        if top == "stylediff":
            assert inner in LAYER_OF, f"{path.name} imports {name}; import from the module that defines it"
            assert LAYER_OF[inner] < LAYER_OF[path.stem], f"{path.name} imports {name}, which is not below it"


@pytest.mark.parametrize("path", PAGE, ids=lambda path: path.stem)
def test_the_page_stands_on_the_library_and_not_on_the_training(path):
    tops = {name.split(".")[0] for name in imports_of(path)}
    assert not tops & {"train", "app", "accelerate"}


@pytest.mark.parametrize("path", TRAINING, ids=lambda path: path.stem)
def test_training_scripts_never_import_each_other(path):
    scripts = {f"train.{script.stem}" for script in TRAINING if has_main(script)}
    imported = {".".join(name.split(".")[:2]) for name in imports_of(path)}
    if path.stem == "finetune":  # it runs several of them in turn
        return
    assert not imported & scripts
    assert "app" not in imported


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_a_file_opens_with_a_docstring_and_is_short(path):
    assert (ast.get_docstring(tree_of(path)) or "").strip()
    lines = len(path.read_text().splitlines())
    assert lines <= (150 if path.name == "app.py" else MAX_LINES), f"{path.name} has {lines} lines"


@pytest.mark.parametrize("path", [*LIBRARY, *TRAINING], ids=lambda path: path.stem)
def test_a_module_only_defines_things(path):
    """No statement at module level but imports, definitions, constants and the call of main."""
    for node in tree_of(path).body[1:]:
        if isinstance(node, ast.If):
            assert ast.unparse(node.test) == "__name__ == '__main__'", f"{path.name}:{node.lineno}"
        elif isinstance(node, ast.Assign):
            assert all(isinstance(target, (ast.Name, ast.Tuple)) for target in node.targets), (
                f"{path.name}:{node.lineno}"
            )
        else:
            allowed = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef, ast.AnnAssign)
            assert isinstance(node, allowed), f"{path.name}:{node.lineno}"


def test_importing_the_library_leaves_the_process_as_it_was():
    modules = [f"stylediff.{path.stem}" for path in LIBRARY if path.stem not in ("__init__", "__main__")]
    program = f"""
import importlib, logging, os, random, sys, warnings
import diffusers, librosa, matplotlib, numpy, soundfile, soxr, torch
from diffusers import AutoencoderKL, DiffusionPipeline, UNet2DConditionModel
from matplotlib import figure
librosa.filters.mel, librosa.griffinlim, librosa.util.nnls
def state():
    return (torch.get_num_threads(), torch.is_grad_enabled(), torch.get_default_dtype(), torch.initial_seed(),
            torch.are_deterministic_algorithms_enabled(), random.getstate(), numpy.random.get_state()[1].tolist(),
            list(warnings.filters), dict(os.environ), os.getcwd(), logging.getLogger().level, matplotlib.get_backend())
before = state()
for name in {modules}:
    importlib.import_module(name)
after = state()
for ours, theirs in zip(before, after):
    assert ours == theirs, (ours, theirs)
assert not {{"gradio", "train", "app"}} & set(sys.modules)
print("unchanged")
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout == "unchanged\n", done.stderr[-2000:]
    assert done.stderr == ""


def test_the_requirements_name_what_is_imported():
    assert outside_imports([*LIBRARY, ROOT / "app.py"]) <= required("requirements.txt")
    assert outside_imports(TRAINING) <= required("train/requirements.txt")
    assert required("train/requirements.txt") <= required("tests/requirements.txt")


def test_the_package_has_the_requirements_and_licence_of_the_repository():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert project["tool"]["setuptools"]["dynamic"]["dependencies"]["file"] == ["requirements.txt"]
    assert (
        (ROOT / project["project"]["license-files"][0])
        .read_text()
        .startswith(f"{project['project']['license']} License")
    )
