"""Whether one more call would make callers wait too long: predicted P95 of voice-to-voice, without I/O.

What goes in: voice-to-voice as measured by the calls of the last seconds, and how full the model services say they are.
What comes out: a new call is welcome, or why not. Calls in progress are never touched.

The prediction is the worse of two:

- **trend**: the measured P95, plus what one more call adds to the wait for each service. Callers take turns, so a
  service is a closed queue of n callers who talk or think most of the time and ask now and then (the machine repair
  model, Feller 1950, XVII.7; with the share of time one call keeps a place busy, as measured). Who asks finds k of the
  others there with the probabilities of n - 1 callers; the P95 of k, times the time of one piece of work, is the wait.
- **jam**: the measured median plus how long the oldest work has waited by now. It is seen before any turn is measured.

A service that n + 1 calls would keep busy beyond SATURATED is refused at once: its queue would only grow. Before there
are enough turns in the window, up to `cold_calls` calls are taken. With no call in progress the first is always taken.
"""

import math
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from services.common.settings import AdmissionSettings

# A place that is busy for more of the time has a queue that does not empty between calls' turns.
SATURATED: Final = 0.95
_PERCENTILE: Final = 0.95
# In units of the spread above the median, for one turn known; it shrinks with the root of their number.
_DOUBT: Final = 1.0
_MAX_SAMPLES: Final = 4096
_MAX_CALLERS: Final = 2000
# Weights of a long queue are scaled down before they leave the range of a float.
_LARGE: Final = 1e100

Refusal = Literal["p95", "jam", "saturated", "cold"]


@dataclass(frozen=True, slots=True)
class ServiceLoad:
    """One model service now: oldest work that a caller waits for, share of its places busy, mean time in a place."""

    oldest_ms: float = 0.0
    utilisation: float = 0.0
    slots: int = 1
    service_ms: float = 0.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """`refusal` None: one more call is welcome. `predicted_ms` None: nothing is known yet."""

    refusal: Refusal | None = None
    predicted_ms: float | None = None


@dataclass(frozen=True, slots=True)
class _Turn:
    at_ns: int
    ms: float


@dataclass(frozen=True, slots=True)
class _Look:
    at_ns: int
    calls: int
    loads: Mapping[str, ServiceLoad]


class Predictor:
    """One per orchestrator worker. `workers` share the services: what is seen of them is due to all of their calls."""

    def __init__(self, settings: AdmissionSettings, workers: int = 1) -> None:
        self._settings = settings
        self._workers = workers
        self._window_ns = int(settings.window_s * 1e9)
        self._turns: deque[_Turn] = deque(maxlen=_MAX_SAMPLES)
        self._looks: deque[_Look] = deque(maxlen=_MAX_SAMPLES)
        self._refusing = False

    def measured(self, ms: float, now_ns: int) -> None:
        """A turn was answered after so many milliseconds."""
        self._turns.append(_Turn(now_ns, ms))

    def looked(self, loads: Mapping[str, ServiceLoad], calls: int, now_ns: int) -> None:
        """How full the services are, with so many calls of ours in progress."""
        self._looks.append(_Look(now_ns, calls, loads))

    def judge(self, calls: int, now_ns: int) -> Verdict:
        """On a new call beside `calls` of ours. Refusing goes on until the prediction is well below the target."""
        self._forget(now_ns)
        predicted = self._predicted_ms(calls)
        refusal = self._refusal(calls, predicted)
        # A refusal for want of evidence says nothing about how late answers are.
        self._refusing = refusal is not None and refusal != "cold"
        return Verdict(refusal, predicted)

    def _refusal(self, calls: int, predicted: float | None) -> Refusal | None:
        target = self._settings.target_p95_ms * (self._settings.resume_ratio if self._refusing else 1.0)
        if self._jam_ms() > target:
            return "jam"
        if calls == 0:
            return None
        if max(self._shares(calls + 1).values(), default=0.0) > SATURATED:
            return "saturated"
        if len(self._turns) < self._settings.least_turns:
            return "cold" if calls >= self._settings.cold_calls else None
        return "p95" if predicted is not None and predicted > target else None

    def _predicted_ms(self, calls: int) -> float | None:
        mean_calls = self._mean_calls()
        if len(self._turns) < self._settings.least_turns:
            return None
        measured = sorted(turn.ms for turn in self._turns)
        added = 0.0
        for name, load in (self._looks[-1].loads if self._looks and mean_calls else {}).items():
            # Calls are spread evenly: each other worker has about as many as we had.
            others = (self._workers - 1) * mean_calls
            each = self._mean_share(name) * load.slots / (mean_calls + others)
            added += wait_p95_ms(calls + 1 + others, each, load) - wait_p95_ms(mean_calls + others, each, load)
        # Where calls have left since, less is predicted than was measured; never less than the middle of it.
        middle = percentile(measured, 0.5)
        # The P95 of a few turns is little more than the worst of them by chance: what is above the middle counts more.
        above = (percentile(measured, _PERCENTILE) + added - middle) * (1 + _DOUBT / math.sqrt(len(measured)))
        return max(middle, middle + above, self._jam_ms())

    def _jam_ms(self) -> float:
        """What a caller who waits now will have waited: the usual time, and the age of what is before it."""
        if not self._looks:
            return 0.0
        oldest = sum(load.oldest_ms for load in self._looks[-1].loads.values())
        usual = percentile(sorted(turn.ms for turn in self._turns), 0.5) if self._turns else 0.0
        return usual + oldest if oldest else 0.0

    def _shares(self, calls: int) -> dict[str, float]:
        """Share of each service's places that so many calls of ours would keep busy, others' calls as they are."""
        mean_calls = self._mean_calls()
        if mean_calls <= 0:
            return {}
        # Calls are spread evenly: another worker has about as many as we had.
        others = (self._workers - 1) * mean_calls
        ratio = (calls + others) / (mean_calls + others)
        names = self._looks[-1].loads if self._looks else ()
        return {name: self._mean_share(name) * ratio for name in names}

    def _mean_calls(self) -> float:
        calls = [look.calls for look in self._looks if look.calls]
        return sum(calls) / len(calls) if calls else 0.0

    def _mean_share(self, name: str) -> float:
        # Only while there were calls: what is left of an earlier one must not be put down to the next.
        shares = [look.loads[name].utilisation for look in self._looks if look.calls and name in look.loads]
        return sum(shares) / len(shares) if shares else 0.0

    def _forget(self, now_ns: int) -> None:
        for kept in (self._turns, self._looks):
            while kept and kept[0].at_ns < now_ns - self._window_ns:
                kept.popleft()


def wait_p95_ms(calls: float, each: float, load: ServiceLoad) -> float:
    """The wait that 95 % of the work stays below when so many callers each keep one place busy for that share of time.

    Between whole numbers of callers it is interpolated, so that no prediction hangs on a rounding.
    """
    low = math.floor(calls)
    return _wait_ms(low, each, load) + (_wait_ms(low + 1, each, load) - _wait_ms(low, each, load)) * (calls - low)


def _wait_ms(callers: int, each: float, load: ServiceLoad) -> float:
    others = min(callers - 1, _MAX_CALLERS)
    if others < load.slots or each <= 0:
        return 0.0
    ratio = min(each, SATURATED) / (1 - min(each, SATURATED))
    weights = [1.0]
    for there in range(others):
        weights.append(weights[-1] * (others - there) * ratio / min(there + 1, load.slots))
        if weights[-1] > _LARGE:
            weights = [weight / _LARGE for weight in weights]
    wanted, below = _PERCENTILE * sum(weights), 0.0
    for there, weight in enumerate(weights):
        if below + weight >= wanted:
            found = there - 1 + (wanted - below) / weight
            return max(0.0, found - load.slots + 1) * load.service_ms / load.slots
        below += weight
    return others * load.service_ms / load.slots


def percentile(ordered: Sequence[float], q: float) -> float:
    """Linear between order statistics (Hyndman and Fan, type 7), as everywhere in the benchmarks."""
    at = q * (len(ordered) - 1)
    low = math.floor(at)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (at - low)
