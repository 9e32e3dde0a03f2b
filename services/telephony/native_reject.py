"""Refuse a ringing call with any final response: the stack can (RFC 3261 21.4-21.6), its Python binding says 486 only.

The binding's shared object exports the stack's own C interface. One function of it, `ua_hangupf`, takes a status, a
reason phrase and header lines. It must run on the stack's own thread and outside any event of a call, so the wish is
left here and a ping sent: the binding hands its answer over on that thread, between two pieces of the stack's work.
The call is found by its Call-ID and taken only if the binding knows it by the very handle that is meant: a forked or
repeated Call-ID can never end another call.
"""

import ctypes
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Final

from services.telephony.refusals import Refused

Sink = Callable[[int, int, bytes | None], None]

_POINTER: Final = ctypes.c_void_p
# name: (result, arguments); of libre and baresip 4.
_SYMBOLS: Final[dict[str, tuple[Any, tuple[Any, ...]]]] = {
    "uag_call_find": (_POINTER, (ctypes.c_char_p,)),
    "bp_call_handle_find": (ctypes.c_uint32, (_POINTER,)),
    "call_is_outgoing": (ctypes.c_bool, (_POINTER,)),
    "call_get_ua": (_POINTER, (_POINTER,)),
    "ua_hangupf": (None, (_POINTER, _POINTER, ctypes.c_uint16, ctypes.c_char_p, ctypes.c_char_p)),
}


@dataclass(slots=True)
class Wish:
    """One refusal to be sent; `sent` is known once the ping has come back."""

    handle: int
    sip_call_id: bytes
    refused: Refused
    sent: bool = False


class NativeReject:
    """Stands before the binding's own sink of events and does what was wished when a ping's answer passes."""

    def __init__(self, native: ModuleType, pong: int, sink: Sink) -> None:
        """`native`: the binding's extension module, `pong`: its event of a ping's answer, `sink`: who gets all events.

        Raises OSError where the module was built without what is needed.
        """
        # CDLL lets go of the interpreter's lock: the stack's events need it while we are inside.
        library = ctypes.CDLL(str(native.__file__))
        for name, (result, arguments) in _SYMBOLS.items():
            try:
                function = getattr(library, name)
            except AttributeError:
                raise OSError(f"the engine exports no {name}") from None
            function.restype, function.argtypes = result, arguments
        self._c = library
        self._pong, self._sink = pong, sink
        self._wishes: deque[Wish] = deque()

    def wish(self, handle: int, sip_call_id: str, refused: Refused) -> Wish:
        """Leave a refusal; the next ping sends it."""
        # A Call-ID is the caller's to write: one that is no text is found by nobody, and 486 is said instead.
        wish = Wish(handle, sip_call_id.encode(errors="replace"), refused)
        self._wishes.append(wish)
        return wish

    def __call__(self, event: int, handle: int, payload: bytes | None) -> None:
        """On the stack's thread: one event on its way to the binding."""
        while event == self._pong and self._wishes:
            self._send(self._wishes.popleft())
        self._sink(event, handle, payload)

    def _send(self, wish: Wish) -> None:
        call = self._c.uag_call_find(wish.sip_call_id)
        if not call or self._c.bp_call_handle_find(call) != wish.handle or self._c.call_is_outgoing(call):
            return
        refused = wish.refused
        # The headers are a format string to the stack: fixed names and digits, so no part of it is a directive.
        lines = refused.header_lines().encode()
        self._c.ua_hangupf(self._c.call_get_ua(call), call, refused.sip_status, refused.phrase.encode(), lines)
        wish.sent = True
