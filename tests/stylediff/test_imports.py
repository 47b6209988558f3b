"""Modules imported at the start, which determine start-up time on any machine."""

import subprocess
import sys

import pytest

from stylediff.lazy_imports import import_lazily
from tests.helpers.files import ROOT

SLOW = ("diffusers", "librosa", "matplotlib", "numpy", "scipy", "soundfile", "soxr", "torch")
# not needed for a conversion; lazy modules are represented by a submodule
RARELY_NEEDED = (
    *("gradio", "librosa", "matplotlib", "numba", "pandas", "sympy", "torch._dynamo.eval_frame"),
    *("scipy.integrate._quadrature", "scipy.optimize", "scipy.signal", "scipy.stats._stats_py"),
)


def imported(program: str, names: tuple[str, ...], *arguments: str) -> list[str]:
    """Modules of a list that a program has imported."""
    program += f"\nimport sys\nprint([name for name in {names} if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return eval(done.stdout.splitlines()[-1])


def test_the_package_alone_imports_nothing_slow():
    assert imported("import stylediff, stylediff.settings", SLOW) == []


def test_help_imports_nothing_slow():
    program = "from stylediff.__main__ import main\ntry:\n    main(['--help'])\nexcept SystemExit:\n    pass"
    assert imported(program, SLOW) == []


@pytest.mark.slow
def test_a_conversion_imports_nothing_that_is_rarely_needed(tmp_path):
    program = "import sys\nfrom stylediff.__main__ import main\nassert main(sys.argv[1:]) == 0"
    clip, out = ROOT / "examples" / "violin_minuet.flac", tmp_path / "out.wav"
    arguments = [str(clip), "--to", "piano", "-o", str(out), "--steps", "1", "--room", "dry"]
    assert imported(program, RARELY_NEEDED, *arguments) == []
    assert out.is_file()


@pytest.mark.slow
def test_every_public_name_can_be_imported():
    program = "import stylediff\nassert set(stylediff.__all__) <= set(dir(stylediff))\nfrom stylediff import *"
    assert imported(program, ("stylediff.vocoder",)) == ["stylediff.vocoder"]
    assert imported("import stylediff\nassert not hasattr(stylediff, 'Vocode')", SLOW) == []


@pytest.mark.slow
def test_the_compiler_can_be_used_after_a_block_without_it():
    program = """
import sys, torch
from stylediff.lazy_imports import without_compiler
with without_compiler():
    @torch.compiler.disable
    def twice(number): return 2 * number
    @torch.compiler.disable(recursive=False)
    def thrice(number): return 3 * number
    assert (twice(2), thrice(2)) == (4, 6)
    import diffusers.hooks
assert "torch._dynamo" not in sys.modules
doubled = torch.compile(lambda tensor: 2 * tensor, backend="eager")
assert doubled(torch.ones(2)).tolist() == [2, 2]
with without_compiler():
    assert torch.compile(twice, backend="eager")(torch.ones(2)).tolist() == [2, 2]
"""
    assert imported(program, ("torch._dynamo.eval_frame",)) == ["torch._dynamo.eval_frame"]


@pytest.fixture
def slow_module(tmp_path, monkeypatch):
    """A package with a module that prints a message when it is loaded."""
    (tmp_path / "some_package").mkdir()
    (tmp_path / "some_package" / "__init__.py").touch()
    (tmp_path / "some_package" / "slow.py").write_text("print('loaded')\nVALUE = 3\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield "some_package.slow"
    for name in ("some_package", "some_package.slow"):
        sys.modules.pop(name, None)


def test_a_lazy_module_is_loaded_once_and_when_it_is_used(slow_module, capsys):
    import_lazily(slow_module)
    import some_package.slow  # type: ignore[import-not-found]

    assert some_package.slow.__file__.endswith("slow.py")
    assert capsys.readouterr().out == ""
    assert some_package.slow.VALUE == 3
    import_lazily(slow_module)
    assert not hasattr(some_package.slow, "OTHER")
    assert capsys.readouterr().out == "loaded\n"
    with pytest.raises(ModuleNotFoundError, match=r"some_package\.none"):
        import_lazily("some_package.none")
