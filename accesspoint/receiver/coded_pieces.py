"""Digital blocks that come in pieces: the uses heard, and whether more is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from accesspoint.receiver.recent_snrs import RecentSnrs
from accesspoint.receiver.responses import write_more_wanted
from airreid.digital.scheme import DigitalScheme
from airreid.nested.stopping import StoppingSettings
from airreid.payload import Coded, HeardCoded
from airreid.scheme import Scheme

if TYPE_CHECKING:
    from accesspoint.receiver.blocks import Block


def write_uses(
    scheme: Scheme,
    settings: StoppingSettings,
    links: RecentSnrs,
    blocks: Sequence[Block],
    lost: NDArray[np.bool_],
) -> None:
    """Writes to blocks in pieces of a digital scheme what was heard of each, and what is wanted.

    lost: (n,), the blocks that could not be decoded from what was heard of them. More is wanted of
    those whose camera has more, and of which pieces are held. ``links``: SNRs of late, by which the
    uses of a camera's next block are advised.
    """
    if not isinstance(scheme, DigitalScheme):
        return
    for block, is_lost in zip(blocks, lost.tolist(), strict=True):
        payload, response = block.payload, block.response
        if isinstance(payload, HeardCoded):
            response.uses_heard = payload.uses
            if is_lost and block.request.more_available:
                wanted = scheme.next_uses(payload, settings, block.snr_db)
                if wanted:  # otherwise the block is given up
                    write_more_wanted(response, wanted)
                    continue
        elif isinstance(payload, Coded) and payload.piece:
            response.uses_heard = len(payload.symbols)
        else:
            continue
        recent = links.of(block.request.id.edge_id)
        snr_db = block.snr_db if recent is None else recent.snr_db
        limit = settings.limit(scheme.info.bandwidth, payload.piece)
        response.first_uses = min(scheme.piece_link(payload.size).first_uses(snr_db), limit)
