"""What a run says while it goes on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from training.engine.progress import Progress
from training.steps.digital import DigitalProgress
from training.steps.linear_codec import CodecProgress


class Report(Protocol):
    """Receives the progress of a run."""

    def phase(self, name: str, steps: int) -> Callable[[], object]:
        """A phase of so many steps begins; call the result after each."""

    def network(self, name: str, progress: Progress) -> None:
        """A step of the optimiser is done, of what the recipe calls ``name``."""

    def codec(self, scheme_id: str, progress: CodecProgress) -> None: ...

    def digital(self, scheme_id: str, progress: DigitalProgress) -> None: ...
