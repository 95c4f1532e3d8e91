"""Long poll down on one connection that is kept, `POST /send` up on another. The next poll goes out at once."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace
from typing import ClassVar

import gevent

from tricast.session import Request
from tricast.wire.messages import Batch, Frame, TransportName
from tricast_bench.users.base import unzipped
from tricast_bench.users.sse import HTTPLink

WAIT = 25.0
"""Seconds that an empty poll is held, as the client has it by default."""
MARGIN = 30.0


class LongPollLink(HTTPLink):
    name: ClassVar[TransportName] = "poll"
    wait = WAIT

    def frames(self, request: Request) -> Iterator[Frame | Batch]:
        # Nothing is waited for at first: any answer is as good as hello.
        wait = 0.0
        headers = "Accept-Encoding: gzip\r\n" if self.tongue.compress else ""
        for number in itertools.count():
            path = self.path("poll", request, wait=f"{wait:g}", n=str(number))
            body = self.down.request("GET", path, timeout=wait + MARGIN, headers=headers)
            self.at = self.down.at
            batch = self.tongue.decoder.batch(unzipped(body) if self.down.zipped else body)
            yield batch
            if batch.bye is not None:
                return
            request, wait = replace(request, cursor=batch.cursor), self.wait
            if self.pause:
                gevent.sleep(self.pause)
