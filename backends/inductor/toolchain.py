"""What compiling needs of a machine: a C++ compiler, and a place to keep what was compiled."""

import os
import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CACHE = "TORCHINDUCTOR_CACHE_DIR"


def compiler() -> str | None:
    """The C++ compiler that ``CXX`` names, by default g++, or None where there is none."""
    return shutil.which(os.environ.get("CXX") or "g++")


def keep_cache() -> Path:
    """Where compiled regions stay between runs: inductor's own variable, else penstock's folder in the user's cache."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.setdefault(CACHE, str(Path(home) / "penstock" / "inductor")))


@contextmanager
def building() -> Iterator[None]:
    """Compile in this process, with this compiler: a pool of processes takes longer to start than a few regions to build."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's, of its own parts
        from torch._inductor import config

        with config.patch({"compile_threads": 1, "cpp.cxx": (None, compiler())}):
            yield


def hits() -> int:
    """How many graphs inductor has found compiled so far."""
    from torch._dynamo.utils import counters

    return counters["inductor"]["fxgraph_cache_hit"] + counters["aot_autograd"]["autograd_cache_hit"]
