"""Virtual environments made of the packages that are installed here, without a download."""

import subprocess
import sys
from importlib.metadata import Distribution, distribution
from pathlib import Path

from packaging.requirements import Requirement


def required_distributions(requirements: Path) -> list[Distribution]:
    """Distributions that a requirements file asks for, with all that those need in turn.

    Raises:
        PackageNotFoundError: one is not installed here.
        AssertionError: the version that is installed is not one the file asks for.
    """
    lines = [line.split(" #")[0].strip() for line in requirements.read_text().splitlines()]
    wanted = [Requirement(line) for line in lines if line and not line.startswith("#")]
    seen: set[tuple[str, str]] = set()
    found: dict[str, Distribution] = {}
    while wanted:
        requirement = wanted.pop()
        for extra in {"", *requirement.extras}:
            if (requirement.name.lower(), extra) in seen:
                continue
            seen.add((requirement.name.lower(), extra))
            package = distribution(requirement.name)
            assert requirement.specifier.contains(package.version, prereleases=True), (requirement, package.version)
            found[requirement.name.lower()] = package
            needs = map(Requirement, package.requires or [])
            wanted += [need for need in needs if need.marker is None or need.marker.evaluate({"extra": extra})]
    return list(found.values())


def make_environment(folder: Path, requirements: Path) -> Path:
    """Make a virtual environment with links to what a requirements file asks for; return its interpreter."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    [site] = folder.glob("lib/python*/site-packages")
    for package in required_distributions(requirements):
        names = {file.parts[0] for file in package.files or [] if file.parts[0] not in ("..", "__pycache__")}
        for name in names:
            if not (site / name).exists():
                (site / name).symlink_to(Path(str(package.locate_file(name))))
    return folder / "bin" / "python"
