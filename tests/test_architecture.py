"""Imports point one way, files are short and documented, and importing has no effects."""

import ast
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import stylediff
from tests.helpers.files import ROOT

# a module of the library imports only from rows above its row
LAYERS = (
    {"errors"},
    {"beats", "public", "hub", "instruments", "containers", "lazy_imports", "process", "tuning", "waveform", "windows"},
    {"decoding", "notes", "sources"},
    {"audio", "midi_files"},
    {"output_files", "transcription"},
    {"mel", "room", "stereo", "phone_level", "phrase_selection", "tone_files", "linear_prediction", "denoising"},
    {"plotting", "phase_reconstruction", "sampling", "dynamics", "damage"},
    {
        "autoencoder",
        "bandwidth",
        "code_model",
        "denoiser",
        "enhancer",
        "gap_blending",
        "inpainter",
        "onnx_unet",
        "settings",
        "style_encoder",
        "vocoder",
    },
    {"mix_detector", "output_sound", "transfer_output", "upper_band"},
    {"pipeline"},
    {"checkpoint", "gap_filling", "reference_style", "ring", "streaming"},
    {"restoration"},
    {"__main__", "codes", "ringtone", "repair"},
)
LAYER_OF = {name: number for number, names in enumerate(LAYERS) for name in names}
# a module of the training imports only from its package and from those in rows above
PACKAGES = (
    {"common", "models"},
    {"data"},
    {"trainers", "evaluation"},
    {"experiments"},
    {"recipe", "finetune"},
    {"__main__"},
)
PACKAGE_LAYER = {name: number for number, names in enumerate(PACKAGES) for name in names}
MAX_LINES = 400
MAX_TOP_LEVEL = 5  # files of the training outside its packages
LIBRARY = sorted((ROOT / "stylediff").glob("*.py"))
TRAINING = sorted((ROOT / "train").rglob("*.py"))
PAGE = sorted((ROOT / "stylediff" / "page").rglob("*.py"))
SOURCES = [*LIBRARY, *PAGE, *TRAINING, ROOT / "app.py"]
# distributions whose name differs from the import
DISTRIBUTIONS = {
    "PIL": "pillow",
    "fluidsynth": "pyfluidsynth",
    "sklearn": "scikit-learn",
    "vector_quantize_pytorch": "vector-quantize-pytorch",
}
# installed without dependencies or optionally, see train/no-deps.txt and pyproject.toml
NOT_LISTED = {"basic_pitch", "monai", "onnxscript", "spaces", "tinysoundfont", "torchcrepe", "transformers"}


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), str(path))


def imports_of(path: Path) -> set[str]:
    """Dotted names of all modules that a file imports."""
    names = set()
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name} has a relative import"
            module = str(node.module)
            parts = module.split(".")
            is_package = (parts[0] == "train" and len(parts) <= 2) or module == "stylediff"
            names |= {f"{module}.{alias.name}" for alias in node.names} if is_package else {module}
    return names


def upward_imports(train: Path) -> list[str]:
    """Imports that violate the layers of a training folder, as "file imports module"."""
    wrong = []
    for path in sorted(train.rglob("*.py")):
        package = path.relative_to(train).parts[0].removesuffix(".py")
        for name in sorted(imports_of(path)):
            parts = name.split(".")
            if parts[0] == "train" and package != "__init__":
                other = parts[1]
                assert other in PACKAGE_LAYER, f"add {other} to the layers"
                if other != package and PACKAGE_LAYER[other] >= PACKAGE_LAYER[package]:
                    wrong.append(f"{path.relative_to(train).as_posix()} imports {name}")
    return wrong


def distributions(lines: list[str]) -> set[str]:
    """Distributions in requirements, one per line."""
    return {re.split(r"[<>=~!\[ ]", line)[0].lower() for line in lines if line and not line.startswith("#")}


def outside_imports(paths: list[Path]) -> set[str]:
    """Distributions that files import, without the standard library and this project."""
    tops = {name.split(".")[0] for path in paths for name in imports_of(path)}
    tops -= set(sys.stdlib_module_names) | {"stylediff", "train", "app"} | NOT_LISTED
    return {DISTRIBUTIONS.get(name, name).lower() for name in tops}


@pytest.mark.parametrize("path", LIBRARY, ids=name_of)
def test_a_module_imports_only_lower_layers(path):
    if path.stem == "__init__":
        return
    assert path.stem in LAYER_OF, f"add {path.stem} to the layers"
    for name in imports_of(path):
        top, _, inner = name.partition(".")
        assert top not in ("train", "app", "gradio", "accelerate"), f"{path.name} imports {name}"
        if top == "stylediff":
            assert inner in LAYER_OF, f"{path.name} imports {name}; import from the module that defines it"
            assert LAYER_OF[inner] < LAYER_OF[path.stem], f"{path.name} imports {name}, which is not below it"


@pytest.mark.parametrize("path", PAGE, ids=name_of)
def test_the_page_imports_the_library_but_not_the_training(path):
    tops = {name.split(".")[0] for name in imports_of(path)}
    assert not tops & {"train", "app", "accelerate"}


@pytest.mark.slow
def test_training_packages_import_only_lower_ones():
    assert upward_imports(ROOT / "train") == []
    assert not any("app" in imports_of(path) for path in TRAINING)


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("data/pairs.py", "import train.experiments.sampling"),
        ("common/files.py", "from train.data.manifest import Clip"),
        ("models/losses.py", "from train import recipe"),
        ("trainers/loop.py", "from train.evaluation.metrics.sound import log_mel_error"),
        ("evaluation/metrics/sound.py", "from train.trainers import loop"),
        ("experiments/new/deep.py", "from train.recipe import main"),
    ],
)
@pytest.mark.slow
def test_a_planted_upward_import_is_found(file, line, tmp_path):
    train = tmp_path / "train"
    shutil.copytree(ROOT / "train", train, ignore=shutil.ignore_patterns("pretrained", "results", "__pycache__"))
    (train / file).parent.mkdir(exist_ok=True)
    with (train / file).open("a") as source:
        source.write(f"\n\ndef planted() -> None:\n    {line}\n")
    [found] = upward_imports(train)
    assert found.startswith(f"{file} imports train.")


def test_training_modules_are_in_packages():
    assert len(list((ROOT / "train").glob("*.py"))) <= MAX_TOP_LEVEL


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_a_file_opens_with_a_docstring_and_is_short(path):
    assert (ast.get_docstring(tree_of(path)) or "").strip()
    lines = len(path.read_text().splitlines())
    assert lines <= (150 if path.name == "app.py" else MAX_LINES), f"{path.name} has {lines} lines"


@pytest.mark.parametrize("path", [*LIBRARY, *TRAINING], ids=name_of)
def test_a_module_only_defines_things(path):
    """Modules contain only imports, definitions, constants and the call of main."""
    for node in tree_of(path).body[1:]:
        if isinstance(node, ast.If):
            assert ast.unparse(node.test) in ("__name__ == '__main__'", "TYPE_CHECKING"), f"{path.name}:{node.lineno}"
        elif isinstance(node, ast.Assign):
            assert all(isinstance(target, (ast.Name, ast.Tuple)) for target in node.targets), (
                f"{path.name}:{node.lineno}"
            )
        else:
            allowed = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef, ast.AnnAssign)
            assert isinstance(node, allowed), f"{path.name}:{node.lineno}"


@pytest.mark.slow
def test_importing_the_library_changes_no_global_state():
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


def test_the_requirements_list_all_imports():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    library = distributions((ROOT / "requirements.txt").read_text().splitlines())
    apart = distributions((ROOT / "train" / "no-deps.txt").read_text().splitlines())
    assert outside_imports([*LIBRARY, ROOT / "app.py"]) <= library
    assert outside_imports(TRAINING) <= library | distributions(extras["train"])
    assert "stylediff[train]" in extras["test"]
    assert {"pytest", "ruff", "mypy", "playwright"} <= distributions(extras["test"])
    assert {name.replace("-", "_") for name in apart} <= NOT_LISTED


def test_the_version_is_the_same_everywhere():
    citation = (ROOT / "CITATION.cff").read_text()
    assert f"\nversion: {stylediff.__version__}\n" in citation
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert project["tool"]["setuptools"]["dynamic"]["version"] == {"attr": "stylediff.__version__"}


def test_the_package_has_the_requirements_and_licence_of_the_repository():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert project["tool"]["setuptools"]["dynamic"]["dependencies"]["file"] == ["requirements.txt"]
    assert (
        (ROOT / project["project"]["license-files"][0])
        .read_text()
        .startswith(f"{project['project']['license']} License")
    )


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_docstrings_begin_with_a_short_plain_line(path):
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
            first = (ast.get_docstring(node) or "").split("\n")[0]
            assert not re.match(r"(What|Whether|That many)\b", first), f"{path.name}: {first}"
            assert len(first.split()) <= 12, f"{path.name}: {first}"
