"""What a measurement was taken on: without it a number means little."""

import os
import platform
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

import penstock

PACKAGES = ("torch", "transformers", "numpy")


def machine() -> dict[str, Any]:
    """Processor, cores, load, versions, date, and how this process computes: threads, and what they do while they wait."""
    return {
        "processor": processor(),
        "cores": os.cpu_count(),
        "load": [round(each, 2) for each in os.getloadavg()] if hasattr(os, "getloadavg") else None,
        "date": datetime.now().astimezone().isoformat(timespec="seconds"),
        "versions": {"penstock": penstock.__version__, "python": platform.python_version(), **versions()},
        "threads": torch.get_num_threads(),
        "wait_policy": os.environ.get("OMP_WAIT_POLICY", "default"),
    }


def processor() -> str:
    """The processor's name, as far as the system tells."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    named = (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or platform.machine())


def versions() -> dict[str, str]:
    """The versions of what computes, of what is installed."""
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def described(told: dict[str, Any]) -> str:
    """A machine in one line."""
    versions_ = ", ".join(f"{name} {number}" for name, number in told["versions"].items())
    threads = f"{told['threads']} thread{'s' * (told['threads'] != 1)} (wait policy {told['wait_policy']})"
    load = "" if told["load"] is None else f", load {told['load'][0]:g}"
    return f"{told['processor']}, {told['cores']} cores{load}; {threads}; {versions_}; {told['date'][:10]}"
