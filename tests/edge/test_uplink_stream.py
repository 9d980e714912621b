"""One stream: what it counts, from its opening to its end."""

from __future__ import annotations

import random
import threading
from collections import Counter
from contextlib import closing

from airreid.link_report import ReportedLink
from airreid.uplink_client import Uplink
from edge.results import Outcome
from edge.spool import Spool
from edge.uplink_stream import UplinkStream

from .support import AccessPoint, entry, served, until


def test_answers_are_counted_whatever_they_say() -> None:
    """Also those that nobody asked for, and those of an access point that is not ready."""
    far, sends = AccessPoint(), Counter[int]()
    far.not_ready, far.strangers = 1, True
    answered, refused = list[Outcome](), list[tuple[int, bool]]()
    with closing(Spool(None, "cam")) as spool, served(far) as to, Uplink(to) as uplink:
        spool.accept([entry(f"{number}.png") for number in range(3)])
        stream = UplinkStream(
            spool,
            sends,
            answered.append,
            lambda outcome, news: refused.append((outcome.sequence, news)),
            0.1,
            random.Random(1),
            ReportedLink(),
        )
        assert stream.answers == 0
        thread = threading.Thread(target=stream.run, args=(uplink, 4, None))
        thread.start()
        until(lambda: len(answered) == 3)
        stream.end()
        thread.join(20)
        assert not thread.is_alive()
    assert sorted(outcome.sequence for outcome in answered) == [1, 2, 3]
    strangers = len(far.seen)
    assert stream.answers >= len(answered) + len(refused)
    assert stream.answers <= len(answered) + len(refused) + strangers
    assert sum(sends.values()) == len(far.seen)
