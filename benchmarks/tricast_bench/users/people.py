"""The crowd's members as locust's users."""

from __future__ import annotations

from typing import ClassVar

from locust import User, task
from locust.exception import StopUser

from tricast.wire.messages import TransportName
from tricast_bench.users.crowd import Crowd, Member


class BusUser(User):
    """Listens from its start to its end; what it hears is in the crowd's account."""

    abstract = True
    transport: ClassVar[TransportName]
    crowd: ClassVar[Crowd]
    member: Member | None = None

    @task
    def listen(self) -> None:
        self.member = self.crowd.join(self.transport)
        self.crowd.enter(self.member)
        raise StopUser  # it was refused; locust would begin again

    def on_stop(self) -> None:
        if self.member is not None:
            self.crowd.leave(self.member)


def user_class(name: TransportName, crowd: Crowd) -> type[BusUser]:
    """A class of users of this crowd."""
    return type(f"{name.capitalize()}User", (BusUser,), {"transport": name, "crowd": crowd})
