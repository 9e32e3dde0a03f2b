"""How loud this caller usually is, so that a voice across the room is told from the caller's own."""

# A voice so far below the caller's usual level is somebody else's, or the caller's television.
DISTANT_DB = 18.0
# Echo of the agent's own voice comes back at least this far below the caller's usual level.
ECHO_DB = 6.0
# Turns before a level counts as known.
LEAST_TURNS = 2
_FOLLOW = 0.3
# A caller who moved away from the telephone must not stay unheard: each time less is asked of the level.
_FORGIVE_DB = 3.0


class UsualLevel:
    """Follows the mean speech level of answered turns, in dBFS."""

    def __init__(self) -> None:
        self._turns = 0
        self._usual_db = 0.0

    def answered(self, level_db: float | None) -> None:
        """A turn of the caller was this loud. None: not measured."""
        if level_db is None:
            return
        self._usual_db = level_db if self._turns == 0 else self._usual_db + _FOLLOW * (level_db - self._usual_db)
        self._turns += 1

    def ignored(self) -> None:
        """Somebody was taken for the background."""
        self._usual_db -= _FORGIVE_DB

    def below_usual_db(self, level_db: float | None) -> float | None:
        """How far under the usual level; None: not known."""
        return None if level_db is None or self._turns < LEAST_TURNS else self._usual_db - level_db

    def distant(self, level_db: float | None) -> bool:
        """Too quiet to be the caller."""
        below = self.below_usual_db(level_db)
        return below is not None and below >= DISTANT_DB
