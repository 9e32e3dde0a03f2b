"""Asking a witness for its signature: one POST, a second one when it remembers another size than we thought."""

import aiohttp

from services.common.errors import InvalidInputError, TrunklineError, UnavailableError
from services.records.checkpoint import Checkpoint
from services.records.merkle import Tree
from services.records.notes import COSIGNATURE_V1, Note, Verifier
from services.records.witness import AddCheckpoint

DEADLINE_S = 5.0
MAX_ANSWER_BYTES = 16_384


class WitnessRefusedError(TrunklineError):
    """The witness says that this log does not continue what it signed before."""


class WitnessClient:
    """One witness: where it listens and its public key."""

    def __init__(self, url: str, verifier: Verifier) -> None:
        if verifier.kind != COSIGNATURE_V1:
            raise InvalidInputError(
                "witness key",
                expected="a cosigner's key (type 4)",
                got=f"type {verifier.kind}",
                remedy="It is the line in the witness's witness.pub.",
            )
        self.verifier = verifier
        self._url = url.rstrip("/")
        self._signed_size = 0

    async def cosign(self, note: Note, tree: Tree) -> str:
        """The witness's signature line over `note`, checked. Raises UnavailableError, WitnessRefusedError."""
        size = Checkpoint.parse(note.text).size
        timeout = aiohttp.ClientTimeout(total=DEADLINE_S)
        async with aiohttp.ClientSession(timeout=timeout) as http:
            for _ in range(2):
                old = min(self._signed_size, size)
                body = AddCheckpoint(old, tuple(tree.consistency(old, size)), note).body()
                status, answer = await self._post(http, body)
                if status == 200:
                    return self._checked(note, answer, size)
                remembered = int(answer) if status == 409 and answer.strip().isdecimal() else -1
                if remembered > size:
                    raise WitnessRefusedError(
                        f"It signed {remembered} entries, this log has {size}: the end is missing."
                    )
                if remembered < 0 or remembered == old:
                    raise WitnessRefusedError(f"{status}: {_first_line(answer) if status != 409 else 'another root'}")
                self._signed_size = remembered
        raise UnavailableError("The witness changes its mind about the size.")

    async def _post(self, http: aiohttp.ClientSession, body: str) -> tuple[int, str]:
        try:
            async with http.post(f"{self._url}/add-checkpoint", data=body.encode()) as answer:
                return answer.status, (await answer.content.read(MAX_ANSWER_BYTES)).decode("utf-8", "replace")
        except (aiohttp.ClientError, TimeoutError) as error:
            raise UnavailableError(f"The witness does not answer ({type(error).__name__}).") from None

    def _checked(self, note: Note, lines: str, size: int) -> str:
        signed = note.with_lines(lines).signed_by(self.verifier)
        if signed is None:
            raise UnavailableError(
                "The witness's answer is not signed by its key.", remedy="Check records.audit.witnesses."
            )
        self._signed_size = size
        return signed.line()


def _first_line(text: str) -> str:
    return text.partition("\n")[0][:200]
