"""Checks of the environment: Python, the packages against the lock, GPUs against the build of torch."""

import re
import sys
from importlib.metadata import PackageNotFoundError, distributions, requires, version
from pathlib import Path

from vaeforge.doctor.finding import Finding, Level
from vaeforge.paths import PACKAGE
from vaeforge.provenance import LOCK

PIN = re.compile(r"^([A-Za-z0-9._-]+)==([^\s#;]+)", re.MULTILINE)
NEEDED = ((3, 11), (3, 14))
DEVICES = Path("/dev")
SHOWN = 3


def python() -> Finding:
    """The version that this project is for."""
    found, (least, below) = ".".join(map(str, sys.version_info[:3])), NEEDED
    if least <= sys.version_info[:2] < below:
        return Finding("Python", "ok", found)
    return Finding("Python", "fail", found, f"make the environment with Python {least[0]}.{least[1]}: `make setup`")


def packages(root: Path) -> Finding:
    """Installed packages against the pins of the project, of the checkout that this code is of, or of its wheel."""
    lock = next((path for path in (root / LOCK, PACKAGE.parents[1] / LOCK) if path.is_file()), None)
    if lock is None:
        text, source = "\n".join(_asked_for()), "vaeforge's wheel"
        mend = "install vaeforge again, with pip, into an environment of its own"
    else:
        text, source = lock.read_text(encoding="utf-8"), str(lock)
        mend = f"`pip install -r {lock}`, or `make setup` for one of its own"
    pins = {_plain(name): pin for name, pin in PIN.findall(text)}
    if not pins:
        return Finding("packages", "warn", f"no {LOCK} to compare with", f"work in a checkout, or copy its {LOCK} here")
    installed = {_plain(one.metadata["Name"] or ""): one.version.partition("+")[0] for one in distributions()}
    others = [f"{name} {installed[name]}, not {pin}" for name, pin in pins.items() if installed.get(name, pin) != pin]
    missing = [name for name in pins if name not in installed]
    if not others and not missing:
        return Finding("packages", "ok", f"{len(pins)} as in {source}")
    told = [*(f"{name} is missing" for name in missing), *others]
    more = f" and {len(told) - SHOWN} more" if len(told) > SHOWN else ""
    level: Level = "fail" if _needed(missing) else "warn"
    return Finding("packages", level, "; ".join(told[:SHOWN]) + more, mend)


def _asked_for() -> list[str]:
    """What the installed package asks for; nothing where it is not installed. What its tests need is left out."""
    try:
        return [one for one in requires("vaeforge") or () if "extra ==" not in one]
    except PackageNotFoundError:
        return []


def gpus() -> Finding:
    """GPUs whose driver is there, and whether torch can use them; torch is imported only where there are some."""
    count = len([path for path in DEVICES.glob("nvidia[0-9]*") if path.name[6:].isdecimal()])
    try:
        build = version("torch")
    except PackageNotFoundError:
        return Finding("GPUs", "fail", "torch is not installed", f"`pip install -r {LOCK}`")
    if not count:
        return Finding("GPUs", "ok", "none")
    if build.endswith("+cpu"):
        return Finding("GPUs", "warn", f"{count}, but torch {build} cannot use them", "install torch's build for CUDA")
    import torch

    usable = torch.cuda.device_count()
    if not usable:
        advice = "see whether the driver is as new as torch's CUDA, and CUDA_VISIBLE_DEVICES"
        return Finding("GPUs", "warn", f"{count}, of which torch sees none", advice)
    return Finding("GPUs", "ok", f"{usable} x {torch.cuda.get_device_name()}")


def _needed(missing: list[str]) -> bool:
    """Whether one of these is imported by the product; tests and tools are not."""
    apart = {"pytest", "pytest-timeout", "pytest-xdist", "moto", "mypy", "ruff", "hypothesis", "httpx2", "setuptools"}
    return bool(set(missing) - apart)


def _plain(name: str) -> str:
    """A distribution's name as PEP 503 compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()
