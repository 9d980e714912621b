"""Channel models as pure functions over blocks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from airreid.noise import NoiseStream
from airreid.signal import awgn


def awgn_block(
    symbols: NDArray[np.float32], stream: NoiseStream, block: int, snr_db: float
) -> NDArray[np.float32]:
    """One block, float32 (B,), through the AWGN channel with its own noise of ``stream``."""
    return awgn(symbols, stream.blocks(block, 1, symbols.shape[-1])[0], snr_db)
