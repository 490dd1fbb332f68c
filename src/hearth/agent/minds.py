"""The models that a session may speak with: which there are, what is known of them, in which dialect each is asked."""

from __future__ import annotations

from hearth.errors import SettingsError
from hearth.llm.answer import Model
from hearth.llm.calibration.record import measured
from hearth.llm.client import ChatClient, Endpoint
from hearth.llm.cut import Shears
from hearth.llm.profile import PILOT, Profile, profile_for
from hearth.llm.repaired import RepairedModel
from hearth.llm.transport import Entry
from hearth.paths import Paths
from hearth.settings import Settings


class Minds:
    """The models behind one endpoint, and how each is spoken to."""

    def __init__(self, paths: Paths, settings: Settings) -> None:
        """Raises SettingsError for an endpoint that is none."""
        self._paths = paths
        self._settings = settings
        self._client = ChatClient(endpoint_for(paths, settings))
        self._windows: dict[str, int] = {}
        self._met: dict[str, Entry] = {}

    async def look(self) -> None:
        """Find out which models there are. Raises Unavailable or Denied."""
        self._windows = await self._client.list_models()

    def choose(self) -> str:
        """The wished model; at another endpoint, when the owner wished for none, the first that it lists."""
        settings = self._settings
        if "model" in settings.origin or not settings.gateway.url or settings.model in self._windows:
            return settings.model
        return next(iter(self._windows), settings.model)

    async def meet(self, model: str) -> Entry:
        """What its endpoint tells of it, asked once. Only then does ``window`` know what a model that is not loaded
        will have. Never raises."""
        if model not in self._met:
            self._met[model] = await self._client.transport.entry_of(model)
        return self._met[model]

    def window(self, model: str) -> int:
        """Tokens that one request to it may hold; 0 while nobody knows. Only a forecast unless it ``is_sure``."""
        told = self._windows.get(model, 0)
        if told and self._client.transport.is_loaded(model):
            return told
        # A model that is not loaded yet gets what is planned for it, else what it had, else what the owner says.
        planned = self._met[model].context_planned if model in self._met else None
        local = 0 if self._settings.gateway.url else self._settings.engine.context
        return planned or told or local

    def is_sure(self, model: str) -> bool:
        """Whether its window is what an engine said that runs."""
        return bool(self._windows.get(model)) and self._client.transport.is_loaded(model)

    async def ask_window(self, model: str) -> int:
        """The same once its engine has answered, and said it: looked up anew if it was not sure before."""
        if self.is_sure(model):
            return self.window(model)
        await self.look()
        return self._windows.get(model, 0) or self.window(model)

    async def profile(self, model: str, *, fresh: bool = False) -> Profile:
        """What is known of it: by the package, its chat template, a calibration (not if ``fresh``), the owner."""
        if model == PILOT.name:
            return PILOT
        settings = self._settings
        found = None if fresh else measured(self._paths.calibration, model, settings.gateway.url)
        template = (await self.meet(model)).template
        raw = self.completes(model)
        return profile_for(model, template, self.window(model), settings.profiles, found, raw=raw)

    def completes(self, model: str) -> bool:
        """Whether a raw prompt can be completed by it: only by llama.cpp, and that of this disk: MODEL@NAME is somebody
        else's engine."""
        return self._client.transport.is_llama and model.rpartition("@")[2] not in self._settings.engines

    def sees(self, model: str) -> bool:
        """Whether it takes images."""
        return self._client.transport.sees(model)

    def speak(self, manner: Profile) -> Model:
        """The model in its own dialect; what it says is taken as it is."""
        match manner.dialect:
            case "harmony":
                from hearth.llm.dialects.harmony.client import HarmonyClient
                from hearth.llm.dialects.harmony.form import Form

                return HarmonyClient(self._client.transport, Form(effort=manner.effort or "medium"), manner.names)
            case "text":
                from hearth.llm.dialects.text.model import TextDialect

                return TextDialect(self._client, parallel=manner.parallel)
            case _:
                return self._client

    def mend(self, manner: Profile) -> Model:
        """The same, with its answers judged, mended, and asked for again where they are broken or go in circles."""
        return Shears(RepairedModel(self.speak(manner)), manner.thinking)


def endpoint_for(paths: Paths, settings: Settings) -> Endpoint:
    """Where the model answers. Raises SettingsError for a URL that is none."""
    url = settings.gateway.url
    if not url:
        return Endpoint(socket=paths.socket)
    if not url.startswith(("http://", "https://")):
        origin = settings.origin.get("gateway.url", "settings")
        raise SettingsError(f"{url!r} from {origin} is no HTTP address", "give one such as http://127.0.0.1:8888")
    return Endpoint(url=url, api_key=settings.gateway.api_key)
