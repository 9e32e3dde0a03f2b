"""What waits for a client that is late: the newest 200 ms of every leg, in order, and every event."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from services.pb.trunkline.telephony.v1 import telephony_pb2 as pb
from services.telephony.outbox import MAX_AUDIO_MS, Outbox

LIMIT = MAX_AUDIO_MS // 20
MESSAGES = st.lists(st.integers(1, 3), max_size=8)


Frames = list[tuple[int, int]]


async def taken(outbox: Outbox) -> pb.MediaResponse:
    message = await outbox.take()
    assert message is not None
    return message


async def expect_next(outbox: Outbox, waiting: list[Frames]) -> None:
    """Messages of which nothing is left are not sent."""
    got = [(frame.leg_id, frame.seq) for frame in (await taken(outbox)).frames]
    while waiting and not waiting[0] and got:
        waiting.pop(0)
    assert got == (waiting.pop(0) if waiting else [])


@given(st.lists(MESSAGES | st.none(), max_size=60))
async def test_of_every_leg_the_newest_frames_wait_in_order_whatever_comes_and_is_taken(steps: list[list[int] | None]):
    """A list is a message with a frame for each leg named in it; None: the client takes one message."""
    outbox, count = Outbox(), 0
    waiting: list[Frames] = []
    for step in steps:
        if step is None:
            if not outbox.empty:
                await expect_next(outbox, waiting)
            continue
        message = pb.MediaResponse()
        for leg_id in step:
            count += 1
            message.frames.add(leg_id=leg_id, seq=count, pcm=b"12")
        waiting.append([(frame.leg_id, frame.seq) for frame in message.frames])
        outbox.put(message)
        of_leg = Counter(leg_id for one in waiting for leg_id, _ in one)
        if len(waiting) > 1:
            for one in waiting:
                for frame in list(one):
                    if frame[0] in step and of_leg[frame[0]] > LIMIT:
                        of_leg[frame[0]] -= 1
                        one.remove(frame)
    while not outbox.empty:
        await expect_next(outbox, waiting)
    assert not any(waiting)


async def test_events_stay_where_the_audio_around_them_is_dropped():
    outbox = Outbox()
    for number in range(3 * LIMIT):
        message = pb.MediaResponse()
        message.frames.add(leg_id=7, seq=number, pcm=b"12")
        if number % 10 == 0:
            message.events.add(leg_id=7)
        outbox.put(message)
    frames, events = [], 0
    while not outbox.empty:
        message = await taken(outbox)
        frames += [frame.seq for frame in message.frames]
        events += len(message.events)
    assert frames == list(range(2 * LIMIT, 3 * LIMIT))
    assert events == 3
    assert outbox.dropped_frames == 2 * LIMIT
