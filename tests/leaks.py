"""Whether something personal can be read in what was written down.

Hashes, sealed values and the microseconds of a time stamp hold any four digits once in a few hundred runs: a plain
`in` accuses them by chance. So those are taken out first; everything else is searched as it stands.
"""

import re

# A time as Python shows it, the fraction of one, and a run in which letters and digits are mixed or that no number of
# a person fills: hexadecimal, base64, nanoseconds.
_CHANCE = re.compile(
    r"datetime\.datetime\([^)]*\)|\.\d{6,}|(?=[A-Za-z+/]*\d)(?=[\d+/]*[A-Za-z])[0-9A-Za-z+/]{8,}={0,2}|[0-9+/]{12,}"
)


def shows(written: str, personal: str) -> bool:
    """Is `personal` there to be read, digits not counting inside a hash, a sealed value or a time?"""
    return personal in (_CHANCE.sub(" ", written) if personal.isdigit() else written)
