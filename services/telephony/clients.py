"""The clients of one worker: who is attached, who owns which leg, and who gets the next call. No I/O.

A client is an orchestrator worker with one Media stream. It says its name, how many calls it can carry and whether it
takes new ones. A client that is gone keeps its place, and its legs, for a grace time: a stream of the same name takes
both over.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from services.pb.trunkline.telephony.v1 import telephony_pb2 as pb
from services.telephony.admission import Refusal
from services.telephony.media_loop import MediaLoop
from services.telephony.outbox import ClientExistsError, Outbox

MAX_NAME: Final = 64
MAX_CLIENTS: Final = 64
MAX_FAREWELL_BYTES: Final = 3_000_000
# Why a client takes no new calls, as it says itself; anything else counts as "client".
_SAID: Final[dict[str, Refusal]] = {"draining": "draining", "not_ready": "not_ready", "overload": "overload"}


@dataclass(slots=True, eq=False)
class Client:
    """One client. `capacity` 0 is unbounded; `refusing` "" takes new calls; `outbox` None is detached."""

    name: str
    media: MediaLoop
    capacity: int = 0
    refusing: str = ""
    outbox: Outbox | None = None
    pending: pb.MediaResponse = field(default_factory=pb.MediaResponse)
    detached_ns: int | None = None
    legs: set[int] = field(default_factory=set)
    # PCM by rate: what its callers hear when it is gone.
    farewells: dict[int, bytes] = field(default_factory=dict)

    @property
    def load(self) -> float:
        """Legs, as a share of the capacity where there is one."""
        return len(self.legs) / self.capacity if self.capacity else float(len(self.legs))

    def refusal(self) -> Refusal | None:
        """Why it takes no call now; None when it does."""
        if self.outbox is None:
            return "no_client"
        if self.refusing:
            return _SAID.get(self.refusing, "client")
        return "cap" if self.capacity and len(self.legs) >= self.capacity else None


class Clients:
    """All clients of a worker, by name."""

    def __init__(self) -> None:
        self._clients: dict[str, Client] = {}
        self._owners: dict[int, Client] = {}

    def __iter__(self) -> Iterator[Client]:
        return iter(list(self._clients.values()))

    @property
    def attached(self) -> int:
        """Clients with an open stream."""
        return sum(client.outbox is not None for client in self._clients.values())

    def get(self, name: str) -> Client | None:
        """Known by that name, attached or in its grace time."""
        return self._clients.get(name)

    def attach(self, attach: pb.Attach, media: MediaLoop) -> Client:
        """A stream opens. Raises ClientExistsError while another has its name, or there are too many."""
        name = attach.name[:MAX_NAME]
        known = self._clients.get(name)
        if known is not None and known.outbox is not None:
            raise ClientExistsError(
                "A client of this name is attached.", remedy="Give every orchestrator worker a name of its own."
            )
        if known is None and len(self._clients) >= MAX_CLIENTS:
            raise ClientExistsError("Too many clients are attached.", remedy=f"At most {MAX_CLIENTS} of one worker.")
        client = known or Client(name, media)
        self._clients[name] = client
        client.outbox, client.detached_ns = Outbox(), None
        self.update(client, attach)
        return client

    def update(self, client: Client, attach: pb.Attach) -> None:
        """What the client says of itself, at first and whenever it changes."""
        client.capacity, client.refusing = attach.capacity, attach.refusing
        if attach.farewells and sum(len(farewell.pcm) for farewell in attach.farewells) <= MAX_FAREWELL_BYTES:
            client.farewells = {farewell.sample_rate_hz: farewell.pcm for farewell in attach.farewells}

    def detach(self, client: Client, now_ns: int) -> None:
        """Its stream is over; without legs there is nothing to keep."""
        client.outbox, client.detached_ns = None, now_ns
        if not client.legs:
            self._clients.pop(client.name, None)

    def forget(self, client: Client) -> None:
        """Its grace time is over and its legs are being ended: nobody hears of them any more."""
        client.detached_ns = None
        client.pending = pb.MediaResponse()
        if not client.legs:
            self._clients.pop(client.name, None)

    def choose(self) -> Client | Refusal:
        """The least loaded client that takes calls, or why there is none (the reason of the least loaded one)."""
        ranked = sorted(self._clients.values(), key=lambda client: (client.refusal() is not None, client.load))
        ranked = [client for client in ranked if client.outbox is not None]
        if not ranked:
            return "no_client"
        return ranked[0].refusal() or ranked[0]

    def own(self, leg_id: int, client: Client) -> None:
        """A leg begins with, or moves to, this client."""
        if (before := self._owners.get(leg_id)) is not None:
            before.legs.discard(leg_id)
        self._owners[leg_id] = client
        client.legs.add(leg_id)

    def disown(self, leg_id: int) -> None:
        """A leg has ended."""
        client = self._owners.pop(leg_id, None)
        if client is None:
            return
        client.legs.discard(leg_id)
        if not client.legs and client.outbox is None and client.detached_ns is None:
            self._clients.pop(client.name, None)

    def owner(self, leg_id: int) -> Client | None:
        """Whose leg it is."""
        return self._owners.get(leg_id)
