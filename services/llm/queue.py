"""Who runs next: a bounded priority queue in front of an engine's slots. Pure; time comes in as `now_ns`.

Order is by virtual arrival: arrival + priority x `ageing_ms` (so a caller, priority 0, passes speculation,
priority 10, unless that has already waited 10 x `ageing_ms` longer: nothing starves), and each further request of
one call counts as if it had come one service time after that call's last (so calls share the slots fairly).
Both are fixed on entry, so the order of two works never changes while they wait.

        enter ──► waiting ──grant──► running ──leave──►
                     │                  │
        overloaded ◄─┴─ displaced,      └─ preempt (speculative only), then leave
                        late
"""

from dataclasses import dataclass, field

from services.common.errors import OverloadedError
from services.common.load import Load, QueueState, Utilisation

# From this priority on, work is a bet, and gives its slot up to work whose priority is this much lower
# (llm.proto: 0 is a caller who waits, speculation uses 10; warming is the least sure).
SPECULATIVE_PRIORITY = 10
WARM_PRIORITY = 20
WHAT = "The language model"
KINDS = ("waiting_caller", "speculative", "warm")


def kind_of(priority: int) -> str:
    """In metrics and `Load`: a caller waits for it, it is a bet, or it only warms the cache."""
    return KINDS[(priority >= SPECULATIVE_PRIORITY) + (priority >= WARM_PRIORITY)]


@dataclass(frozen=True)
class Work:
    """One request. `deadline_ns`: when its answer is worthless; None: never."""

    work_id: str
    call_id: str
    priority: int
    arrived_ns: int
    deadline_ns: int | None = None

    @property
    def speculative(self) -> bool:
        """Whether it may be stopped for a caller who waits."""
        return self.priority >= SPECULATIVE_PRIORITY


@dataclass(frozen=True)
class Decision:
    """What changed: `grant` may run now, `preempt` must stop, `refuse` must go with the error beside it."""

    grant: tuple[str, ...] = ()
    preempt: tuple[str, ...] = ()
    refuse: tuple[tuple[str, OverloadedError], ...] = ()


@dataclass
class _Entry:
    work: Work
    virtual_ns: int


@dataclass
class _Running:
    work: Work
    granted_ns: int
    preempted: bool = False


@dataclass
class AdmissionQueue:
    """The state: what waits and what runs. `service_ms` is a running mean of slot times, for honest refusals."""

    slots: int
    capacity: int
    ageing_ms: float = 500.0
    service_ms: float = 800.0
    _waiting: dict[str, _Entry] = field(default_factory=dict)
    _running: dict[str, _Running] = field(default_factory=dict)
    # Warming gives its slot up at once: it keeps nobody waiting.
    _busy: Utilisation = field(init=False)

    def __post_init__(self) -> None:
        self._busy = Utilisation(self.slots)

    @property
    def waiting(self) -> int:
        """How many wait."""
        return len(self._waiting)

    @property
    def running(self) -> int:
        """How many hold a slot."""
        return len(self._running)

    def load(self, now_ns: int) -> Load:
        """Who waits by kind, and how busy the slots are."""
        arrivals: dict[str, list[int]] = {kind: [] for kind in KINDS}
        for entry in self._waiting.values():
            arrivals[kind_of(entry.work.priority)].append(entry.work.arrived_ns)
        queues = tuple(QueueState.of(kind, since) for kind, since in arrivals.items())
        return Load(queues, self._busy.value(now_ns), self.slots, self.service_ms)

    def enter(self, work: Work, now_ns: int) -> Decision:
        """Take work in. Raises OverloadedError when the queue is full of work no less urgent, or it would be late."""
        entry = _Entry(work, self._virtual_ns(work))
        ahead = [e for e in self._waiting.values() if e.virtual_ns <= entry.virtual_ns]
        start_ms = self._start_in_ms(work, len(ahead), now_ns)
        if work.deadline_ns is not None and now_ns + start_ms * 1e6 >= work.deadline_ns:
            raise OverloadedError(WHAT, retry_after_s=max(0.05, start_ms / 1000))
        refused: tuple[tuple[str, OverloadedError], ...] = ()
        if len(self._waiting) >= self.capacity:
            refused = (self._displace_for(entry, now_ns),)
        self._waiting[work.work_id] = entry
        decision = self.decide(now_ns)
        return Decision(decision.grant, decision.preempt, (*refused, *decision.refuse))

    def leave(self, work_id: str, now_ns: int) -> Decision:
        """Work ended or was cancelled, wherever it stands; unknown ids are ignored."""
        self._waiting.pop(work_id, None)
        done = self._running.pop(work_id, None)
        if done is not None and not done.preempted and done.work.priority < WARM_PRIORITY:
            took_ms = (now_ns - done.granted_ns) / 1e6
            self.service_ms += 0.2 * (took_ms - self.service_ms)
        return self.decide(now_ns)

    def decide(self, now_ns: int) -> Decision:
        """Grant free slots in order, refuse what is too late, and stop bets that something surer waits behind."""
        late = [e.work.work_id for e in self._waiting.values() if _late(e.work, now_ns)]
        for work_id in late:
            del self._waiting[work_id]
        granted: list[str] = []
        while self._waiting and len(self._running) < self.slots:
            entry = min(self._waiting.values(), key=_order)
            del self._waiting[entry.work.work_id]
            self._running[entry.work.work_id] = _Running(entry.work, now_ns)
            granted.append(entry.work.work_id)
        self._busy.update(sum(r.work.priority < WARM_PRIORITY for r in self._running.values()), now_ns)
        retry_s = self._start_in_ms(None, len(self._waiting), now_ns) / 1000
        return Decision(
            tuple(granted),
            tuple(self._preempt()),
            tuple((work_id, OverloadedError(WHAT, retry_after_s=retry_s)) for work_id in late),
        )

    def _preempt(self) -> list[str]:
        """For each waiting work no stopping slot is meant for: the youngest bet it may stop has the least to lose."""
        stopping = sum(r.preempted for r in self._running.values())
        bets = [r for r in self._running.values() if r.work.speculative and not r.preempted]
        bets.sort(key=lambda r: (r.work.priority, r.granted_ns))
        chosen: list[str] = []
        for entry in sorted(self._waiting.values(), key=_order)[stopping:]:
            if bets and bets[-1].work.priority - entry.work.priority >= SPECULATIVE_PRIORITY:
                running = bets.pop()
                running.preempted = True
                chosen.append(running.work.work_id)
        return chosen

    def _displace_for(self, entry: _Entry, now_ns: int) -> tuple[str, OverloadedError]:
        worst = max(self._waiting.values(), key=_order)
        error = OverloadedError(WHAT, retry_after_s=self._start_in_ms(None, len(self._waiting), now_ns) / 1000)
        if entry.work.speculative or not worst.work.speculative:
            raise error
        del self._waiting[worst.work.work_id]
        return worst.work.work_id, error

    def _virtual_ns(self, work: Work) -> int:
        same_call = [e.virtual_ns - self._offset_ns(e.work) for e in self._waiting.values() if _same(e.work, work)]
        same_call += [r.granted_ns for r in self._running.values() if _same(r.work, work)]
        service_ns = int(self.service_ms * 1e6)
        turn_ns = max([work.arrived_ns, *(base + service_ns for base in same_call)])
        return turn_ns + self._offset_ns(work)

    def _offset_ns(self, work: Work) -> int:
        return int(work.priority * self.ageing_ms * 1e6)

    def _start_in_ms(self, work: Work | None, ahead: int, now_ns: int) -> float:
        """Expected wait behind `ahead` others; speculation in a slot does not hold a caller up."""
        holding = [r for r in self._running.values() if work is None or work.speculative or not r.work.speculative]
        if len(holding) + ahead < self.slots:
            return 0.0
        left_ms = [max(0.0, self.service_ms - (now_ns - r.granted_ns) / 1e6) for r in holding]
        return min(left_ms, default=0.0) + ahead * self.service_ms / self.slots


def _order(entry: _Entry) -> int:
    return entry.virtual_ns


def _same(one: Work, other: Work) -> bool:
    """Whether two works take turns: a call's bets do not hold up what its caller waits for."""
    return bool(one.call_id) and one.call_id == other.call_id and one.speculative == other.speculative


def _late(work: Work, now_ns: int) -> bool:
    return work.deadline_ns is not None and now_ns >= work.deadline_ns
