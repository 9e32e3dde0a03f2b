"""One leg as a table of (state, input, outputs)."""

import pytest

from services.common.personal import Personal
from services.pb.trunkline.telephony.v1 import telephony_pb2 as pb
from services.telephony import engine as e
from services.telephony.leg_types import Act, Action, State, Timeouts
from services.telephony.legs import Leg
from services.telephony.refusals import Refused

S = 1_000_000_000
PCMU = e.AudioFormat("g711", 8000, 8000, 20, False)
OPUS = e.AudioFormat("opus", 48_000, 48_000, 20, False)
NO_STATS = e.CallStats()


def leg(state: State = State.RINGING) -> Leg:
    """A leg brought to `state` the ordinary way."""
    it = Leg(1, State.DIALING if state is State.DIALING else State.RINGING, 0)
    if state in (State.ANSWERING, State.ESTABLISHED, State.ENDED):
        it.command(pb.Command(answer=pb.Answer()), 0)
    if state in (State.ESTABLISHED, State.ENDED):
        it.on_connected(0)
        it.on_format(PCMU, 0)
    if state is State.ENDED:
        it.on_closed(Personal(""), NO_STATS)
    return it


def said(outputs: list[object]) -> list[str]:
    """Kinds of events and actions, in order."""
    return [o.act.value if isinstance(o, Action) else str(o.WhichOneof("event")) for o in outputs]  # type: ignore[union-attr]


COMMANDS = {
    "answer": pb.Command(answer=pb.Answer()),
    "reject": pb.Command(reject=pb.Reject(sip_status=503)),
    "hangup": pb.Command(hangup=pb.Hangup()),
    "clear": pb.Command(clear=pb.Clear()),
    "dtmf": pb.Command(send_dtmf=pb.SendDtmf(digits="1#")),
    "hold": pb.Command(hold=pb.Hold(on=True)),
    "transfer": pb.Command(transfer=pb.Transfer(target_uri="sip:agent@example.com")),
    "answer_transfer": pb.Command(answer_transfer=pb.AnswerTransfer(accept=True)),
}
FAILED = ["command_failed"]


@pytest.mark.parametrize(
    ("state", "command", "outputs"),
    [
        (State.RINGING, "answer", ["answer"]),
        (State.RINGING, "reject", ["reject"]),
        (State.RINGING, "hangup", ["reject"]),
        (State.RINGING, "dtmf", FAILED),
        (State.RINGING, "hold", FAILED),
        (State.RINGING, "transfer", FAILED),
        (State.ANSWERING, "answer", FAILED),
        (State.ANSWERING, "reject", FAILED),
        (State.ANSWERING, "hangup", ["hangup"]),
        (State.DIALING, "answer", FAILED),
        (State.DIALING, "hangup", ["hangup"]),
        (State.ESTABLISHED, "answer", FAILED),
        (State.ESTABLISHED, "reject", FAILED),
        (State.ESTABLISHED, "hangup", ["hangup"]),
        (State.ESTABLISHED, "clear", ["clear"]),
        (State.ESTABLISHED, "dtmf", ["send_dtmf"]),
        (State.ESTABLISHED, "hold", ["hold"]),
        (State.ESTABLISHED, "transfer", ["transfer"]),
        (State.ESTABLISHED, "answer_transfer", FAILED),
        *[(State.ENDED, name, FAILED) for name in COMMANDS],
    ],
)
def test_a_command_does_what_its_state_allows(state: State, command: str, outputs: list[str]):
    assert said(leg(state).command(COMMANDS[command], 0)) == outputs


def test_an_incoming_call_is_answered_heard_and_hung_up():
    it = leg()
    assert said(it.command(COMMANDS["answer"], S)) == ["answer"]
    assert it.on_connected(2 * S) == []
    (established,) = it.on_format(PCMU, 2 * S)
    assert established.established.rx_sample_rate_hz == 8000  # type: ignore[union-attr]
    assert said(it.on_digit(Personal("7"), 120)) == ["dtmf"]
    (ended,) = it.on_closed(Personal("Connection reset by peer [104]"), e.CallStats(rx_packets=9, rx_lost=-2))
    assert ended.ended.cause == pb.Ended.CAUSE_REMOTE_BYE  # type: ignore[union-attr]
    assert (ended.ended.stats.rx_packets, ended.ended.stats.rx_lost) == (9, 0)  # type: ignore[union-attr]
    assert it.on_closed(Personal(""), NO_STATS) == []


def cause(outputs: list[object]) -> tuple[str, int]:
    """Cause and status of the Ended among the outputs."""
    ended = next(o.ended for o in outputs if isinstance(o, pb.LegEvent) and o.HasField("ended"))
    return pb.Ended.Cause.Name(ended.cause).removeprefix("CAUSE_"), ended.sip_status


@pytest.mark.parametrize(
    ("state", "text", "expected"),
    [
        (State.RINGING, "Connection reset by peer", ("CANCELLED", 487)),
        (State.ANSWERING, "", ("CANCELLED", 487)),
        (State.DIALING, "486 Busy Here", ("REJECTED", 486)),
        (State.DIALING, "603 Decline", ("REJECTED", 603)),
        (State.DIALING, "404 Not Found", ("REJECTED", 404)),
        (State.DIALING, "Connection timed out [110]", ("FAILED", 0)),
        (State.ESTABLISHED, "", ("REMOTE_BYE", 0)),
        (State.ESTABLISHED, "Call transfered", ("TRANSFERRED", 0)),
        (State.ESTABLISHED, "rtp stream error", ("MEDIA_TIMEOUT", 0)),
    ],
)
def test_an_end_is_told_with_its_cause(state: State, text: str, expected: tuple[str, int]):
    assert cause(leg(state).on_closed(Personal(text), NO_STATS)) == expected


def test_our_own_end_is_told_as_ours_whatever_the_stack_says():
    it = leg(State.ESTABLISHED)
    it.command(COMMANDS["hangup"], 0)
    assert cause(it.on_closed(Personal("Rejected by user"), NO_STATS)) == ("LOCAL_HANGUP", 0)
    it = leg(State.RINGING)
    it.command(COMMANDS["reject"], 0)
    assert cause(it.on_closed(Personal("Rejected by user"), NO_STATS)) == ("REJECTED", 503)


@pytest.mark.parametrize(
    ("asked", "done"),
    [
        (pb.Reject(), Refused(486)),
        (pb.Reject(sip_status=603), Refused(603)),
        (pb.Reject(sip_status=503, retry_after_s=7), Refused(503, 7)),
    ],
)
def test_a_reject_says_what_the_client_said(asked: pb.Reject, done: Refused):
    (action,) = leg(State.RINGING).command(pb.Command(reject=asked), 0)
    assert action == Action(Act.REJECT, refused=done)


@pytest.mark.parametrize("asked", [pb.Reject(sip_status=200), pb.Reject(sip_status=503, retry_after_s=86_401)])
def test_a_reject_that_no_caller_could_read_is_refused_and_the_leg_still_rings(asked: pb.Reject):
    it = leg(State.RINGING)
    assert said(it.command(pb.Command(reject=asked), 0)) == FAILED
    assert it.state is State.RINGING
    assert said(it.command(COMMANDS["answer"], 0)) == ["answer"]


def test_a_second_hangup_changes_nothing():
    it = leg(State.ESTABLISHED)
    assert said(it.command(COMMANDS["hangup"], 0)) == ["hangup"]
    assert it.command(COMMANDS["hangup"], 0) == []


def test_a_reason_phrase_that_could_hold_a_number_is_left_out():
    outputs = leg(State.DIALING).on_closed(Personal("404 No such user +4930123456"), NO_STATS)
    assert outputs[0].ended.reason == ""  # type: ignore[union-attr]


def test_a_change_of_codec_is_told_and_the_same_codec_is_not():
    it = leg(State.ESTABLISHED)
    assert it.on_format(PCMU, S) == []
    (again,) = it.on_format(OPUS, 2 * S)
    assert again.established.codec == "opus"  # type: ignore[union-attr]


def test_hold_is_told_once_each_way():
    it = leg(State.ESTABLISHED)
    assert [len(it.on_remote_hold(held, S)) for held in (True, True, False, False)] == [1, 0, 1, 0]


def test_a_blind_transfer_that_works_ends_the_leg_as_transferred():
    it = leg(State.ESTABLISHED)
    (action,) = it.command(COMMANDS["transfer"], 0)
    assert isinstance(action, Action)
    assert (action.act, action.text) == (Act.TRANSFER, Personal("sip:agent@example.com"))
    outputs = it.on_closed(Personal("Call transfered"), NO_STATS)
    assert said(outputs) == ["transfer_result", "ended"]
    assert outputs[0].transfer_result.accepted  # type: ignore[union-attr]
    assert cause(outputs) == ("TRANSFERRED", 0)


def test_a_bye_without_notify_after_our_refer_is_a_success():
    it = leg(State.ESTABLISHED)
    it.command(COMMANDS["transfer"], 0)
    assert cause(it.on_closed(Personal("Connection reset by peer"), NO_STATS)) == ("TRANSFERRED", 0)


def test_a_refused_transfer_leaves_the_leg_alive_and_can_be_tried_again():
    it = leg(State.ESTABLISHED)
    it.command(COMMANDS["transfer"], 0)
    assert said(it.command(COMMANDS["transfer"], 0)) == FAILED
    (result,) = it.on_transfer_done(False, 603, "Decline")
    assert (result.transfer_result.accepted, result.transfer_result.sip_status) == (False, 603)  # type: ignore[union-attr]
    assert said(it.command(COMMANDS["transfer"], 0)) == ["transfer"]


def test_a_refer_of_the_far_end_waits_for_the_client():
    it = leg(State.ESTABLISHED)
    assert said(it.on_transfer_asked(Personal("sip:x@y"), True)) == ["transfer_requested"]
    assert said(it.command(COMMANDS["answer_transfer"], 0)) == ["accept_transfer"]
    assert said(it.command(COMMANDS["answer_transfer"], 0)) == FAILED


@pytest.mark.parametrize("digits", ["", "12x", "1 2", "1" * 65])
def test_digits_that_are_none_are_refused(digits: str):
    assert said(leg(State.ESTABLISHED).command(pb.Command(send_dtmf=pb.SendDtmf(digits=digits)), 0)) == FAILED


@pytest.mark.parametrize("target", ["", "sip:a b@c", "<sip:a@b>", "sip:a@b\r\nX: y"])
def test_a_transfer_target_that_could_smuggle_a_header_is_refused(target: str):
    command = pb.Command(transfer=pb.Transfer(target_uri=target))
    assert said(leg(State.ESTABLISHED).command(command, 0)) == FAILED


def test_a_hold_the_engine_refused_can_be_tried_again():
    it = leg(State.ESTABLISHED)
    it.command(COMMANDS["hold"], 0)
    assert said(it.action_failed("hold", "in flight")) == FAILED
    assert said(it.command(COMMANDS["hold"], 0)) == ["hold"]


@pytest.mark.parametrize(
    ("state", "timeouts", "at_s", "act", "expected"),
    [
        (State.RINGING, Timeouts(ring_s=10), 10, "reject", ("REJECTED", 503)),
        (State.DIALING, Timeouts(dial_s=60), 60, "hangup", ("FAILED", 408)),
        (State.ANSWERING, Timeouts(answer_s=10), 10, "hangup", ("FAILED", 408)),
        (State.ESTABLISHED, Timeouts(media_s=30), 30, "hangup", ("MEDIA_TIMEOUT", 0)),
    ],
)
def test_a_deadline_ends_the_leg_once(state, timeouts, at_s, act, expected):
    it = leg(state)
    it.timeouts = timeouts
    assert it.deadline_ns() == at_s * S
    assert it.on_time(at_s * S - 1) == []
    assert said(it.on_time(at_s * S)) == [act]
    assert it.on_time(at_s * S + 1) == []
    assert cause(it.on_closed(Personal(""), NO_STATS)) == expected


def test_a_held_call_does_not_die_of_silence():
    it = leg(State.ESTABLISHED)
    it.on_remote_hold(True, S)
    assert it.deadline_ns() is None
    it.on_remote_hold(False, 100 * S)
    assert it.deadline_ns() == 130 * S


def test_events_of_an_ended_leg_say_nothing():
    it = leg(State.ENDED)
    assert it.on_format(OPUS, 0) == []
    assert it.on_digit(Personal("1"), 1) == []
    assert it.on_remote_hold(True, 0) == []
    assert it.on_transfer_asked(Personal("sip:x@y"), False) == []
    assert it.deadline_ns() is None
