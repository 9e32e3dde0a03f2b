"""Token buckets per client address, bounded in number. Pure: time comes in as an argument."""

from collections import OrderedDict


class RateLimiter:
    """Each key may spend `burst` at once and `per_s` in the long run; the least recently seen keys are forgotten."""

    def __init__(self, per_s: float, burst: int, max_keys: int = 1024) -> None:
        self._per_s = per_s
        self._burst = burst
        self._max_keys = max_keys
        # key → (tokens, when counted)
        self._buckets: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def take(self, key: str, now_ns: int) -> float:
        """Spend one token: 0.0 when there was one, else the seconds until there is."""
        tokens, counted_ns = self._buckets.pop(key, (float(self._burst), now_ns))
        tokens = min(self._burst, tokens + (now_ns - counted_ns) / 1e9 * self._per_s)
        granted = tokens >= 1.0
        self._buckets[key] = (tokens - 1.0 if granted else tokens, now_ns)
        while len(self._buckets) > self._max_keys:
            self._buckets.popitem(last=False)
        return 0.0 if granted else (1.0 - tokens) / self._per_s
