"""Runs that are killed: ``python killed_run.py FOLDER``. Each is a process of its own, forked from one that has imported all.

``whole`` is not killed. ``event-N`` is killed at its Nth file operation below its folder, for every N there is. ``chance`` is
killed at operations drawn at random, resumed, and killed again; then it is left alone.
"""

import json
import os
import random
import signal
import sys
from dataclasses import replace
from pathlib import Path

from transformers.utils import logging
from zoo_runs import TINY, begin

PLAN = replace(TINY, steps=3)
KILLS = 8


def train(out: Path) -> None:
    begin(out, PLAN, every=0.0).run()  # a checkpoint after every step: most of the time goes into saving


def killed_at(out: Path, event: int) -> None:
    """Train, and die just before file operation number ``event``."""
    seen = 0

    def watch(name, arguments):
        nonlocal seen
        if name in ("open", "os.rename", "os.remove", "os.rmdir", "os.mkdir") and str(arguments[0]).startswith(str(out)):
            seen += 1
            if seen == event:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(watch)
    train(out)


def forked(work, *arguments) -> int:
    pid = os.fork()
    if pid == 0:
        work(*arguments)
        os._exit(0)
    return pid


def was_killed(pid: int) -> bool:
    status = os.waitpid(pid, 0)[1]
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return os.WIFSIGNALED(status)


def main(folder: Path) -> None:
    begin(folder / "warm", PLAN).keep()  # what is imported late is imported once
    was_killed(forked(train, folder / "whole"))
    event = 1
    while was_killed(forked(killed_at, folder / f"event-{event}", event)):
        event += 1
    draw = random.Random(0)
    killed = sum(was_killed(forked(killed_at, folder / "chance", draw.randrange(1, event // 2))) for _ in range(KILLS))
    was_killed(forked(train, folder / "chance"))
    print(json.dumps({"events": event - 1, "by chance": killed}))


if __name__ == "__main__":
    logging.disable_progress_bar()
    main(Path(sys.argv[1]))
