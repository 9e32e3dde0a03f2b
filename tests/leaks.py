"""Whether something personal can be read in what was written down.

Hashes, sealed values and the microseconds of a time stamp hold any four digits once in a few hundred runs: a plain
`in` accuses them by chance. Digits count as shown when they stand for themselves, not inside a longer run.
"""

import re


def shows(written: str, personal: str) -> bool:
    """Is `personal` there to be read, as itself and not as part of a longer number, hash or base64 text?"""
    if not personal.isdigit():
        return personal in written
    return re.search(rf"(?<![0-9A-Za-z+/]){personal}(?![0-9A-Za-z+/=])", written) is not None
