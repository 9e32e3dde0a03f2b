"""How loud this caller usually is, so that a voice across the room is told from the caller's own."""

# Before anything was answered: the nominal active speech level of a telephone line, -26 dBov (ITU-T P.56, G.100.1);
# we take the loudest part of each frame, which lies about 4 dB above it.
NOMINAL_DB = -22.0
# A voice so far below the caller's usual level is somebody else's, or the caller's television.
DISTANT_DB = 18.0
# So far below it may be: it must say more before it is believed.
FAINT_DB = 10.0
# Echo of the agent's own voice comes back at least this far below the caller's usual level.
ECHO_DB = 6.0
_FOLLOW = 0.4
# A caller who moved away from the telephone must not stay unheard: each time less is asked of the level.
_FORGIVE_DB = 3.0


class UsualLevel:
    """Follows the speech level of answered turns, in dBFS."""

    def __init__(self) -> None:
        self._usual_db = NOMINAL_DB

    def answered(self, level_db: float | None) -> None:
        """A turn of the caller was this loud. None: not measured."""
        if level_db is not None:
            self._usual_db += _FOLLOW * (level_db - self._usual_db)

    def ignored(self) -> None:
        """Somebody was taken for the background."""
        self._usual_db -= _FORGIVE_DB

    def below_usual_db(self, level_db: float | None) -> float | None:
        """How far under the usual level; None: not known."""
        return None if level_db is None else self._usual_db - level_db

    def distant(self, level_db: float | None) -> bool:
        """Too quiet to be the caller."""
        below = self.below_usual_db(level_db)
        return below is not None and below >= DISTANT_DB
