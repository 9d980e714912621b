"""Learns a site as a process of its own that kills itself: NETWORK, DATA, OUT, CACHE, settings."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import torch

from training.engine.progress import Progress, SilentReport
from training.recipes.load import load_recipe, with_options
from training.site.run import SiteRun, train_site

EPOCH, STEP = 1, 1
"""Place in the joint stage at which the process ends as by ``kill -9``."""


class Killer(SilentReport):
    """Kills its process where it is told to."""

    def network(self, name: str, progress: Progress) -> None:
        if (name, progress.epoch, progress.step) == ("joint", EPOCH, STEP):
            os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    network, data, out, cache, *settings = sys.argv[1:]
    torch.set_num_threads(1)
    recipe = with_options(load_recipe("site", settings), True, None, None)
    train_site(SiteRun(recipe, Path(network), data, Path(out), Path(cache)), Killer())
