"""Which agent a new call gets: that of the settings, or the released version of a bundle, made ready beforehand.

A version is loaded, its signature checked and its sentences spoken once before any call gets it, so that a release
never makes a caller wait. The label is looked at twice a second; `choose` decides from memory, for one call at a time,
and the call keeps what it got: a rollback acts on the next call.
"""

from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from services.common.clock import Clock, sleep_s
from services.common.errors import TrunklineError
from services.common.log import get_logger
from services.common.settings import AgentSettings, Settings
from services.orchestrator.bundles.bundle import Bundle
from services.orchestrator.bundles.choice import Release, choose
from services.orchestrator.bundles.standard import STANDARD_NAMES
from services.orchestrator.call_context import Business
from services.orchestrator.clients.tts import TtsClient
from services.orchestrator.phrases import Phrasebook
from services.orchestrator.store.bundles import BundleStore

log = get_logger(__name__)

LOOK_S = 0.5
# A bundle, and the locale its calls are in.
BusinessOf = Callable[[Bundle, str], Awaitable[Business]]
# Versions kept ready beside those that are released: what a rollback goes back to.
KEPT = 6


@dataclass(frozen=True, slots=True)
class CallAgent:
    """What one call works with. `digest` is empty for the agent of the settings."""

    digest: str
    settings: AgentSettings
    tts: TtsClient
    phrases: Phrasebook
    # What acts for the caller; the agent of the settings only talks.
    business: Business | None = None


class Agents:
    """`follow` keeps the released versions ready; `choose` never waits. Raises nothing while a label is followed."""

    def __init__(self, settings: Settings, clock: Clock, voice: Callable[[AgentSettings], TtsClient]) -> None:
        self._settings = settings
        self._clock = clock
        self._voice = voice
        self.own = self._made("", settings.agent)
        self._ready: OrderedDict[str, CallAgent] = OrderedDict()
        self._release: Release | None = None
        self._complaint = ""

    @property
    def from_bundle(self) -> bool:
        """The settings name a bundle."""
        return bool(self._settings.agent.bundle)

    @property
    def ready(self) -> bool:
        """A call can begin."""
        return self._release is not None if self.from_bundle else self.own.phrases.complete

    def choose(self, call_id: str) -> CallAgent:
        """The agent of a new call; only while `ready`."""
        if self._release is None:
            return self.own
        return self._ready[choose(self._release, call_id)]

    async def load(self) -> None:
        """The agent of the settings: its sentences, until they are all there. With a bundle there is nothing to do."""
        if not self.from_bundle:
            await self.own.phrases.load()

    async def follow(self, store: BundleStore, business_of: BusinessOf) -> None:
        """Keep up with the label until cancelled; what cannot be loaded is said, and the last good release stays."""
        trusted = self._settings.bundles.trusted()
        agent = self._settings.agent
        while True:
            try:
                release = await store.current(agent.bundle, agent.label)
                if release is None:
                    self._complain(f"{agent.bundle} has no release under {agent.label!r}")
                elif release != self._release:
                    for digest in (release.digest, release.canary):
                        if digest is not None and digest not in self._ready:
                            bundle = await store.load(digest, trusted)
                            self._ready[digest] = await self._from(bundle, business_of)
                    self._switch(release)
                await self._one_more()
            except TrunklineError as error:
                self._complain(error.message)
            await sleep_s(self._clock, LOOK_S)

    async def _from(self, bundle: Bundle, business_of: BusinessOf) -> CallAgent:
        settings = agent_settings(bundle, self._settings.agent)
        business = await business_of(bundle, settings.locale) if bundle.goals else None
        made = self._made(bundle.digest, settings, business, fixed_lines(bundle, settings.locale))
        await made.phrases.load()
        return made

    async def _one_more(self) -> None:
        """A sentence that calls may need, made while they wait for nothing."""
        for made in self._ready.values():
            if await made.phrases.load_one_more():
                return

    def _switch(self, release: Release) -> None:
        self._release, self._complaint = release, ""
        current = [digest for digest in (release.digest, release.canary) if digest is not None]
        for digest in current:
            self._ready.move_to_end(digest)
        while len(self._ready) > KEPT + len(current):
            self._ready.popitem(last=False)
        log.info(
            "agent released",
            agent=release.agent,
            label=release.label,
            digest=release.digest[:12],
            canary=(release.canary or "")[:12],
            canary_percent=release.canary_percent,
        )

    def _complain(self, why: str) -> None:
        if why != self._complaint:
            self._complaint = why
            log.error("agent not loaded", reason=why)

    def _made(
        self, digest: str, settings: AgentSettings, business: Business | None = None, more: tuple[str, ...] = ()
    ) -> CallAgent:
        tts = self._voice(settings)
        return CallAgent(digest, settings, tts, Phrasebook(tts, settings, self._clock, more), business)


def agent_settings(bundle: Bundle, site: AgentSettings) -> AgentSettings:
    """A bundle as the settings of a call: its sentences in the site's locale where it has that, else in its own.

    What a bundle does not say (apologies, re-prompts) is the locale's.
    """
    locale = site.locale if site.locale in bundle.agent.locales else bundle.agent.default_locale
    agent = bundle.agent

    def text(prompt_id: str | None) -> str:
        return bundle.prompt(prompt_id, locale).text if prompt_id is not None else ""

    return AgentSettings.model_validate(
        {
            "bundle": site.bundle,
            "label": site.label,
            "locale": locale,
            "voice": agent.locales[locale].voice or site.voice,
            "system_prompt": text(agent.system),
            "greeting": text(agent.greeting),
            "disclosure": text(agent.disclosure),
            "max_history_turns": site.max_history_turns,
            "asr_hotwords": agent.locales[locale].asr_hotwords,
            "say": agent.lexicon.say,
        }
    )


def fixed_lines(bundle: Bundle, locale: str) -> tuple[str, ...]:
    """Every sentence of a dialogue that is said as it stands: those of the bundle, and the standard ones."""
    names = [*(name for name in bundle.prompts[locale] if name != bundle.agent.system), *sorted(STANDARD_NAMES)]
    texts = (bundle.prompt(name, locale).text for name in names)
    return tuple(dict.fromkeys(text for text in texts if "{" not in text))


async def until_ready(agents: Agents, clock: Clock) -> None:
    """Return when a call could begin."""
    while not agents.ready:
        await sleep_s(clock, 0.1)
