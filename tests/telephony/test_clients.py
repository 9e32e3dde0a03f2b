"""Several clients of one worker: who gets a call, and what a client that goes away takes with it. Virtual time."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.common.clock import VirtualClock
from services.common.personal import Personal
from services.common.settings import TelephonySettings
from services.pb.trunkline.telephony.v1 import telephony_pb2 as pb
from services.telephony import engine as e
from services.telephony.clients import Client, Clients
from services.telephony.media_loop import MediaLoop
from services.telephony.outbox import ClientExistsError
from services.telephony.worker import Worker
from tests.telephony.fake_engine import FakeEngine


class Party:
    """A worker with clients by name, and what each of them was told."""

    def __init__(self) -> None:
        self.clock = VirtualClock(start_ns=1_000_000_000)
        self.engine = FakeEngine()
        self.worker = Worker(TelephonySettings(max_calls_per_s=30), self.engine, self.clock)
        self.clients: dict[str, Client] = {}
        self.told: dict[str, list[pb.LegEvent]] = {}

    def attach(self, name: str, capacity: int = 0, refusing: str = "") -> None:
        self.clients[name] = self.worker.attach(pb.Attach(name=name, capacity=capacity, refusing=refusing))
        self.told.setdefault(name, [])

    def command(self, name: str, leg: int, **command: object) -> None:
        request = pb.MediaRequest(commands=[pb.Command(leg_id=leg, **command)])  # type: ignore[arg-type]
        self.worker.request(self.clients[name], request)

    async def run(self, ms: float = 10) -> None:
        await self.clock.advance_ms(ms)
        for name, client in self.clients.items():
            while client.outbox is not None and not client.outbox.empty:
                message = await client.outbox.take()
                assert message is not None
                self.told[name] += message.events

    async def ring(self, handle: int) -> None:
        self.engine.incoming(handle)
        await self.run()

    async def establish(self, handle: int) -> None:
        """The client that was told answers."""
        await self.ring(handle)
        name, leg = next(
            (name, event.leg_id)
            for name, events in self.told.items()
            for event in events
            if event.incoming.sip_call_id == f"id-{handle}"
        )
        self.command(name, leg, answer=pb.Answer())
        await self.run(200)
        self.engine.emit(e.CallEstablished(handle))
        await self.run()

    def kinds(self, name: str) -> list[str]:
        return [str(event.WhichOneof("event")) for event in self.told[name]]


@pytest.fixture
async def party():
    it = Party()
    await it.worker.start()
    yield it
    await it.worker.close()


async def test_each_call_goes_to_the_least_loaded_client_and_stays_there(party: Party):
    party.attach("a")
    party.attach("b")
    for handle in (1, 2, 3, 4):
        await party.ring(handle)
    assert party.kinds("a") == party.kinds("b") == ["incoming", "incoming"]


async def test_load_is_a_share_of_what_a_client_says_it_can_carry(party: Party):
    party.attach("small", capacity=1)
    party.attach("large", capacity=3)
    for handle in (1, 2, 3, 4, 5):
        await party.ring(handle)
    assert (len(party.kinds("small")), len(party.kinds("large"))) == (1, 3)
    assert party.engine.asked[-1] == ("reject", 5, 503, 5)


async def test_a_client_that_drains_gets_no_new_calls_and_keeps_those_it_has(party: Party):
    party.attach("a")
    party.attach("b")
    await party.establish(1)
    party.worker.request(party.clients["a"], pb.MediaRequest(attach=pb.Attach(name="a", refusing="draining")))
    for handle in (2, 3):
        await party.ring(handle)
    assert party.kinds("a") == ["incoming", "established"]
    assert party.kinds("b") == ["incoming", "incoming"]
    party.worker.request(party.clients["b"], pb.MediaRequest(attach=pb.Attach(name="b", refusing="overload")))
    await party.ring(4)
    assert party.engine.asked[-1] == ("reject", 4, 503, 5)


async def test_a_client_can_do_nothing_to_the_leg_of_another(party: Party):
    party.attach("a")
    party.attach("b")
    await party.establish(1)
    party.command("b", 1, hangup=pb.Hangup())
    party.worker.request(party.clients["b"], pb.MediaRequest(frames=[pb.PlayFrame(leg_id=1, pcm=bytes(320))]))
    await party.run()
    assert party.kinds("b") == ["command_failed", "command_failed"]
    assert ("hangup", 1) not in party.engine.asked
    await party.establish(2)
    party.command("b", 2, transfer=pb.Transfer(consult_leg_id=1))
    await party.run()
    assert "another leg of this client" in party.told["b"][-1].command_failed.message


async def test_a_client_that_dies_ends_its_own_calls_after_the_grace_and_no_others(party: Party):
    party.attach("a")
    party.attach("b")
    await party.establish(1)
    await party.establish(2)
    party.worker.detach(party.clients["a"])
    await party.run(1900)
    assert ("hangup", 1) not in party.engine.asked
    await party.run(300)
    assert ("hangup", 1) in party.engine.asked
    assert ("hangup", 2) not in party.engine.asked
    party.engine.audios[2].rx += bytes(320)
    party.engine.emit(e.RemoteHold(2, True))
    await party.run()
    assert party.kinds("b")[-1] == "hold_changed"


async def test_its_callers_hear_its_farewell_at_the_pace_of_speech_and_then_the_call_ends(party: Party):
    frame = bytes(range(160)) * 2
    farewells = [pb.Farewell(sample_rate_hz=8000, pcm=frame * 50), pb.Farewell(sample_rate_hz=16000, pcm=b"x")]
    party.attach("a")
    party.worker.request(party.clients["a"], pb.MediaRequest(attach=pb.Attach(name="a", farewells=farewells)))
    # Said again without: what was given stays.
    party.worker.request(party.clients["a"], pb.MediaRequest(attach=pb.Attach(name="a", refusing="draining")))
    party.worker.request(party.clients["a"], pb.MediaRequest(attach=pb.Attach(name="a")))
    await party.establish(1)
    party.worker.detach(party.clients["a"])
    await party.run(1950)
    audio = party.engine.audios[1]
    for _ in range(60):
        await party.run(20)
        audio.tick()
        # A client of its name may come back meanwhile: these calls are not its calls.
        if len(audio.wire) == 20 * 320:
            party.attach("a")
    assert bytes(audio.wire).count(frame) == 50
    assert audio.ring.starved_frames == 0
    await party.run(200)
    assert ("hangup", 1) in party.engine.asked
    assert party.kinds("a") == ["incoming", "established"]
    party.engine.emit(e.CallClosed(1, Personal(""), e.CallStats()))
    await party.run()
    assert party.worker.active_legs == 0


async def test_a_call_that_still_rings_is_offered_to_another_client(party: Party):
    party.attach("a")
    party.attach("b")
    await party.ring(1)
    assert party.kinds("a") == ["incoming"]
    party.worker.detach(party.clients["a"])
    await party.run()
    assert party.told["b"][-1].incoming.sip_call_id == "id-1"
    leg = party.told["b"][-1].leg_id
    party.command("b", leg, answer=pb.Answer())
    await party.run(100)
    party.engine.emit(e.CallEstablished(1))
    await party.run(6000)
    assert "established" in party.kinds("b")
    assert ("hangup", 1) not in party.engine.asked


async def test_a_client_that_comes_back_by_its_name_finds_its_legs(party: Party):
    party.attach("a")
    await party.establish(1)
    party.worker.detach(party.clients["a"])
    await party.run(1000)
    party.attach("a")
    party.engine.emit(e.RemoteHold(1, True))
    await party.run(6000)
    assert party.kinds("a")[-1] == "hold_changed"
    assert ("hangup", 1) not in party.engine.asked


async def test_a_name_is_attached_once(party: Party):
    party.attach("a")
    with pytest.raises(ClientExistsError):
        party.attach("a")
    party.attach("b")


async def test_a_dial_is_answered_to_the_client_that_asked_whatever_numbers_they_chose(party: Party):
    party.attach("a")
    party.attach("b")
    for name in ("a", "b"):
        party.command(name, 0, dial=pb.Dial(dial_id=7, target_uri=f"sip:{name}@example.org"))
    await party.run(200)
    legs = [[(e.leg_id, e.dialed.dial_id) for e in party.told[name]] for name in ("a", "b")]
    assert legs == [[(1, 7)], [(2, 7)]]


async def test_a_dial_whose_client_died_meanwhile_is_hung_up(party: Party):
    party.attach("a")
    party.attach("b")
    for _ in range(3):
        party.command("a", 0, dial=pb.Dial(dial_id=7, target_uri="sip:x@example.org"))
    party.worker.detach(party.clients["a"])
    await party.run(1000)
    asked = [name for name, *_ in party.engine.asked]
    assert asked.count("dial") == asked.count("hangup") == 3
    assert party.kinds("b") == []


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans(), st.integers(0, 8)), min_size=1, max_size=6), st.data())
def test_a_call_never_goes_to_a_client_that_refuses_or_is_full(specs, data):
    clients = Clients()
    loop = MediaLoop(lambda _event: None, lambda _leg, _format: None)
    leg = 0
    for index, (legs, refuses, capacity) in enumerate(specs):
        client = clients.attach(pb.Attach(name=f"c{index}", capacity=capacity), loop)
        for _ in range(legs):
            leg += 1
            clients.own(leg, client)
        clients.update(client, pb.Attach(capacity=capacity, refusing="draining" if refuses else ""))
    chosen = clients.choose()
    welcome = [client for client in clients if client.refusal() is None]
    if isinstance(chosen, Client):
        assert chosen in welcome
        assert chosen.load == min(client.load for client in welcome)
    else:
        assert welcome == []
        assert chosen in ("draining", "cap")
