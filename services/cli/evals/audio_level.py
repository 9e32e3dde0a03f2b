"""The audio level: a handful of scenarios as real calls by SIP to a running stack, judged by the same gates.

The caller goes by what it hears: its recogniser's words of the agent's audio, told apart by `Listening`. What was said
on the line, for the gates, is what went out by the call's own events (the text that left the synthesiser), beside what
the stack heard the caller say; books, effect rows and audit log are read as at the text level.
"""

import asyncio
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg

from services.cli.api import Api
from services.cli.dialers import stack_target
from services.cli.evals.callers import ScriptedCaller
from services.cli.evals.gates import EffectSeen, Judged, judge
from services.cli.evals.line import Snapshot, levels, transcript_of
from services.cli.evals.listening import EvalTalker, Listening
from services.cli.evals.result import Played, Run
from services.cli.evals.transcript import Transcript
from services.cli.evals.trends import Counted
from services.cli.evals.world import Stage, stage
from services.cli.machine import commit, machine
from services.cli.sip_caller import SipDialer
from services.cli.speech_clients import transcribe
from services.cli.stack import MODEL_SERVICES, Launch
from services.cli.stats import distribution
from services.cli.talker.ears import Ears
from services.cli.talker.talk import MANNERS, Exchange, Talker
from services.cli.talker.voice import Voice
from services.cli.terminal import Interrupts, StackView
from services.cli.up import started_stack
from services.common.clock import Clock, now_s
from services.common.errors import InvalidInputError
from services.orchestrator.bundles.bundle import Bundle
from services.orchestrator.bundles.evals import Scenario
from services.orchestrator.bundles.signing import Signer
from services.orchestrator.store.bundles import BundleStore
from services.orchestrator.store.effects import EffectStore
from services.records.export import export_log
from services.records.keys import load_key_ring, load_log_key
from services.records.verify import verify

# A call takes a minute or two: so many scenarios, each wish once before any comes twice.
HANDFUL = 6


def handful(scenarios: Sequence[Scenario], locale: str, most: int = HANDFUL) -> list[Scenario]:
    """Those that can be spoken as they are: in this locale, from a known number, no faults, noise or talking over."""
    fit = [
        one
        for one in scenarios
        if one.locale == locale and one.wants and one.opens and not (one.faults or one.noisy or one.withheld)
        if not any(moment.over for moment in one.moments)
    ]
    taken: list[Scenario] = []
    seen: Counter[tuple[str, ...]] = Counter()
    for nth in range(len(fit)):
        for one in fit:
            if one not in taken and seen[one.wants] == nth:
                taken.append(one)
                seen[one.wants] += 1
    return taken[:most]


@dataclass(slots=True)
class AudioLevel:
    """Plays scenarios against the stack that `launch` names, whose back end and database are the stage's."""

    stage: Stage
    launch: Launch
    clock: Clock
    effects: EffectStore
    listening: Listening
    voice: Voice
    run: Run = field(default_factory=Run)
    times_ms: list[float] = field(default_factory=list)
    _number: int = 0

    async def play(self, scenario: Scenario, nth: int) -> Played:
        """One call, its books and its verdict. Raises UnavailableError, DeadlineError."""
        self._number += 1
        person = self.stage.world.customers[scenario.customer]
        subject, number = f"a{self._number}-{scenario.customer}", f"+4479{self._number:08}"
        await self.stage.enter(scenario.customer, subject, number, scenario.seed)
        before = await self.stage.books.done(subject)
        entries = {name: goal.entry[scenario.locale] for name, goal in self.stage.bundle.goals.items()}
        caller = ScriptedCaller(scenario, person, entries)
        call_id, transcript = await self._call(caller, number, subject, scenario.locale, len(before))
        rows = await self.effects.of_call(call_id)
        turns = {
            row["effect_id"]: row["turn"]
            for row in await self.stage.pool.fetch("SELECT effect_id, turn FROM effects WHERE call_id = $1", call_id)
        }
        reviews = await self.stage.pool.fetchval(
            "SELECT count(*) FROM reviews JOIN effects USING (effect_id) WHERE call_id = $1", call_id
        )
        books = self.stage.books
        seen = Judged(
            transcript=transcript,
            done=(await books.done(subject))[len(before) :],
            state=await books.state(subject),
            forbidden=await books.forbidden(subject),
            known=frozenset(await books.known(subject)),
            records=frozenset(await books.records(subject)),
            effects=[EffectSeen(r.tool, r.state, turns[r.effect_id], r.wire_key, r.request) for r in rows],
            reviews=reviews,
            wanted=caller.wanted(),
            exact=True,
            levels=levels(transcript, person.pin, person.number_level, person.pin_level),
            expect=scenario.expect,
        )
        findings = judge(self.stage.bundle, self.stage.world, seen)
        expected = {"wanted": [dict(row) for row in seen.wanted]}
        expected |= scenario.expect.model_dump(exclude_defaults=True, mode="json")
        came = {"done": [one.to_json() for one in seen.done], "state": {k: str(v) for k, v in seen.state.items()}}
        played = Played(scenario.id, nth, findings, transcript, expected, came)
        self.run.add(played)
        self.run.acts.update(one.kind for one in seen.done)
        ok = not findings.end_state
        self.run.trends.add(Counted(scenario.id, transcript, ok, [], "person" in scenario.wants, {}, None))
        return played

    async def _call(
        self, caller: ScriptedCaller, number: str, subject: str, locale: str, before: int
    ) -> tuple[str, Transcript]:
        """The call's id, and what was said on the line."""
        settings = self.launch.settings
        target = stack_target("sip", settings).address
        g711 = self.launch.with_overrides("telephony.sip.codecs=pcmu")
        books: list[Snapshot] = []
        reading: list[asyncio.Task[None]] = []

        async def read(at_ns: int) -> None:
            done = Counter(one.kind for one in (await self.stage.books.done(subject))[before:])
            books.append(Snapshot(at_ns, done))

        def told(side: str, _: Exchange) -> None:
            """Books are read as soon as a sentence was heard: a second or so after it was said."""
            if side == "heard":
                reading.append(asyncio.create_task(read(self.clock.now_ns())))

        async with Api(settings) as api, SipDialer(g711, self.clock, target=target, number=number) as dialer:
            leg = await dialer.dial(target)
            ears = Ears(leg, self.clock, lambda pcm, hz: transcribe(pcm, hz, settings, self.clock), MANNERS)
            by_ear = EvalTalker(caller, self.listening)
            talk = await Talker(leg, ears, self.clock, self.voice.clip, tell=told).talk(by_ear)
            call_id = await api.call_id(leg.peer_reference)
            events = [event async for event in api.events(call_id)]
        await asyncio.gather(*reading)
        await read(self.clock.now_ns())
        self.times_ms += [one.voice_to_voice_ms for one in talk.exchanges if one.voice_to_voice_ms is not None]
        books.sort(key=lambda one: one.at_ns)
        transcript = transcript_of(
            events, self.listening, subject, locale, keyed=by_ear.keyed, books=books, stuck=talk.why
        )
        return call_id, transcript


async def run_audio(
    bundle: Bundle,
    directory: Path,
    launch: Launch,
    clock: Clock,
    interrupts: Interrupts,
    *,
    runs: int,
    only: Sequence[str] = (),
    view: StackView,
    progress: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """The result as a document: a stack of its own is started for it, with the bundle's back end.

    Raises InvalidInputError for a bundle without scenarios that can be spoken, UnavailableError for what does not
    start.
    """
    started = now_s(clock)
    locale = bundle.agent.default_locale
    scenarios = handful([one for one in bundle.scenarios() if not only or one.id in only], locale)
    if not scenarios:
        raise InvalidInputError("evals", expected=f"scenarios in {locale} without faults", got="none")
    with tempfile.TemporaryDirectory(prefix="tl-eval-") as scratch:
        async with stage(bundle, directory, Path(scratch)) as world:
            mine = await _released(bundle, world, launch, Path(scratch), locale)
            async with started_stack(mine, clock, interrupts, view):
                effects = EffectStore(world.pool, load_key_ring(mine.settings))
                voice = Voice(mine.settings, clock)
                level = AudioLevel(world, mine, clock, effects, Listening(bundle, locale), voice)
                for run in range(runs):
                    for scenario in scenarios:
                        progress(scenario.id)
                        await level.play(scenario, run)
            # The stack has stopped: all it had to note is written and signed.
            level.run.audit = await _verify(world.dsn, mine)
    facts = {
        "level": "audio",
        "model": "scripted" if _scripted(launch) else "real",
        "bundle": {"agent": bundle.agent.id, "version": bundle.agent.version, "digest": bundle.digest},
        "runs": runs,
        "voice_to_voice_ms": distribution(level.times_ms).to_json(),
        "wall_s": round(now_s(clock) - started, 1),
        "machine": (await machine()).to_json(),
        "commit": commit(),
    }
    return level.run.to_json(facts)


async def _released(bundle: Bundle, world: Stage, launch: Launch, scratch: Path, locale: str) -> Launch:
    """The bundle published under a key of this run; the settings of a stack whose calls use it."""
    key = scratch / "bundle-key.pem"
    signer = Signer.create(key)
    mine = launch.with_overrides(
        f"data_dir={scratch}",
        f"database.dsn={world.dsn}",
        f"agent.bundle={bundle.agent.id}",
        f"agent.locale={locale}",
        f"bundles.trusted_keys={signer.public.hex()}",
        f"control.backends.{bundle.agent.id}={world.url}",
    )
    # Where the database is named, keys are not made by themselves: they could be another machine's.
    own = mine.with_overrides("database.dsn=").settings
    load_log_key(own, create=True)
    load_key_ring(own)
    store = BundleStore(world.pool)
    published = await store.publish(bundle, signer, "eval")
    await store.release(
        bundle.agent.id, mine.settings.agent.label, published, canary_percent=0, by="eval", reason="audio level"
    )
    return mine


def _scripted(launch: Launch) -> bool:
    """Any of the models is none: the run says nothing about understanding."""
    return any(getattr(launch.settings, name).engine == "scripted" for name in MODEL_SERVICES)


async def _verify(dsn: str, launch: Launch) -> list[str]:
    """What an auditor would find in the export."""
    connection = await asyncpg.connect(dsn)
    try:
        lines = [line async for line in export_log(connection)]
    finally:
        connection.terminate()
    return [finding.message for finding in verify(lines, load_log_key(launch.settings).verifier).findings]
