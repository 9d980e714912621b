"""What quantising leaves behind in the process."""

from __future__ import annotations

import logging

import pytest

from training.quantise import _only_errors


def test_the_root_logger_is_as_it_was(caplog: pytest.LogCaptureFixture) -> None:
    root = logging.getLogger()
    level = root.level
    with _only_errors():
        root.warning("advice")
    assert root.level == level
    root.warning("of interest")
    assert "advice" not in caplog.text
    assert "of interest" in caplog.text
