"""The places that are told, as configured at the moment: for the daemon, for `notify test` and for doctor."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from orchestrator.bridges.clock import SystemClock
from orchestrator.bridges.secret_source import NoSecretError, open_to_others, secret_from
from orchestrator.bridges.sqlite import SqliteStore
from orchestrator.bridges.webhook import Webhook
from orchestrator.configuration import Configuration
from orchestrator.core.errors import ConfigError, NotFoundError
from orchestrator.core.finding import Finding, failed, passed, warned
from orchestrator.core.notice import Delivery, Notice, NoticeKind, NotSent
from orchestrator.core.notice_flow import SEND_S
from orchestrator.core.notice_ports import Notifier, Sink, SinkFacts, Told
from orchestrator.core.text import printable
from orchestrator.engine.bell import Bell
from orchestrator.engine.noticing import Noticing
from orchestrator.engine.telling import Telling
from orchestrator.settings import Settings
from orchestrator.settings_notify import NotifySettings

NO_BOT = "the Telegram bot is not connected"


@dataclass(frozen=True, slots=True)
class Unready:
    """A place that cannot be told for now: what is owed to it waits. Implements the port `Notifier`."""

    why: str
    fix: str = ""

    async def send(self, delivery: Delivery) -> str:  # noqa: ARG002 - the port's
        raise NotSent(self.why)


@dataclass(slots=True)
class Sinks:
    """What `notify` names, built anew only when the configuration was loaded anew.

    *telegram* sends for `to: telegram`; who has a bot puts it here.
    """

    configuration: Configuration
    clock: SystemClock
    telegram: Notifier | None = None
    _built: tuple[object, object, Mapping[str, Sink]] | None = field(default=None, init=False)

    def now(self) -> Mapping[str, Sink]:
        loaded = self.configuration.loaded
        if self._built is None or self._built[0] is not loaded or self._built[1] is not self.telegram:
            sinks = {one.called: self._sink(one) for one in places(self.configuration.settings)}
            self._built = (loaded, self.telegram, sinks)
        return self._built[2]

    def _sink(self, one: NotifySettings) -> Sink:
        return Sink(one.called, frozenset(one.on), self._notifier(one), one.to)

    def _notifier(self, one: NotifySettings) -> Notifier:
        if one.to == "telegram":
            return self.telegram or Unready(NO_BOT, "Set TELEGRAM_BOT_TOKEN and TELEGRAM_CHAT_ID in .env.")
        environ = self.configuration.environ
        try:
            url = address_of(one, environ)
            if one.to == "webhook":
                return webhook(url, secret_from(environ, one.secret_env, one.secret_file), self.clock)
            from orchestrator.bridges.apprise_sink import AppriseSink

            return AppriseSink(url, lambda text: self.configuration.redactor.text(text))
        except NoSecretError as error:
            return Unready(str(error), "Set it in .env, or write the file; then `notify test`.")
        except ConfigError as error:
            return Unready(error.message, error.hint)


@dataclass(frozen=True, slots=True)
class Notices:
    """What tells people of what happens: the places, what owes them notices, what sends those."""

    sinks: Sinks
    noticing: Noticing
    telling: Telling


def notices_of(configuration: Configuration, store: SqliteStore, clock: SystemClock, bell: Bell) -> Notices:
    """Return what tells people of what happens on *store*."""
    sinks = Sinks(configuration, clock)
    noticing = Noticing(
        store=store,
        outbox=store.outbox,
        clock=clock,
        sinks=sinks.now,
        redact=lambda value: configuration.redactor.json(value),
        command=configuration.command,
    )
    telling = Telling(
        store=store,
        outbox=store.outbox,
        clock=clock,
        bell=bell,
        sinks=sinks.now,
        noticing=noticing,
        root=store.root_uuid,
        redact=lambda value: configuration.redactor.json(value),
        command=configuration.command,
    )
    return Notices(sinks, noticing, telling)


def places(settings: Settings) -> Sequence[NotifySettings]:
    """Return who is told. A bot with a chat is, without being listed, unless the list says otherwise."""
    telegram = settings.telegram
    implied = telegram.token is not None and telegram.chat_id is not None
    if implied and not any(one.to == "telegram" for one in settings.notify):
        return (*settings.notify, NotifySettings(to="telegram"))
    return settings.notify


def address_of(one: NotifySettings, environ: Mapping[str, str]) -> str:
    """Return the url of a place. Raises NoSecretError."""
    return one.url.get_secret_value().strip() if one.url else secret_from(environ, one.url_env, one.url_file)


def webhook(url: str, secret: str, clock: SystemClock) -> Webhook:
    """Return the sink for *url*. Raises ConfigError where it is none that can be posted to."""
    if not url.startswith(("http://", "https://")) or any(character.isspace() for character in url):
        raise ConfigError("the url of a webhook begins with https:// or http://", hint="Correct notify: url.")
    if "@" in url.split("://", 1)[1].split("/", 1)[0]:
        raise ConfigError("the url of a webhook holds no user and no password", hint="The signature says who we are.")
    try:
        return Webhook(url, secret, clock.now)
    except ValueError:
        hint = "A secret that begins with whsec_ goes on in base64."
        raise ConfigError("url or secret of the webhook cannot be read", hint=hint) from None


def trial(now: float, name: str, command: str) -> Notice:
    """Return the notice that `notify test` sends."""
    text = "If you can read this, notices reach you here. Nothing has happened."
    typed = (f"{command} status",)
    return Notice(f"trial:{now:.3f}", NoticeKind.NEEDS_YOU, f"Test of notices to {name}", text, now, typed)


async def tried(configuration: Configuration, name: str, telegram: Notifier | None = None) -> Sequence[Told]:
    """Send a test to the place *name*, or to all; *telegram* sends for `to: telegram`.

    Raises NotFoundError for a place that is not configured.
    """
    clock = SystemClock()
    sinks = Sinks(configuration, clock, telegram).now()
    if name and name not in sinks:
        known = f"There are: {', '.join(sinks)}." if sinks else "List it under notify: in config/orchestrator.yaml."
        raise NotFoundError(f"no place is called {printable(name)!r}", hint=known)
    chosen = [sink for sink in sinks.values() if name in ("", sink.name)]
    troubles = [await _tried(sink, clock, configuration.command) for sink in chosen]
    clean = map(configuration.redactor.text, troubles)
    return [Told(sink.name, sink.far, trouble) for sink, trouble in zip(chosen, clean, strict=True)]


async def _tried(sink: Sink, clock: SystemClock, command: str) -> str:
    notice = trial(clock.now(), sink.name, command)
    try:
        async with asyncio.timeout(SEND_S):
            await sink.notifier.send(Delivery(notice, clock.new_session_id().replace("-", "")))
    except TimeoutError:
        return f"no answer within {SEND_S:g} s"
    except NotSent as failure:
        return failure.why
    return ""


def findings(sinks: Sinks, facts: Sequence[SinkFacts], *, now: float) -> Sequence[Finding]:
    """Return what doctor says of the places that are told, and of what they are still owed."""
    found: list[Finding] = []
    by_name = {one.sink: one for one in facts}
    settings = {one.called: one for one in places(sinks.configuration.settings)}
    for name, sink in sinks.now().items():
        found.append(_finding(name, sink, by_name.get(name), now))
        files = [file for file in (settings[name].url_file, settings[name].secret_file) if file]
        seen = [file for file in files if open_to_others(file)]
        found += [warned("notify", name, f"others may read {file}", f"chmod 600 {file}") for file in seen]
    if not found:
        found.append(passed("notify", "notices", "nobody is told; `notify` in config/orchestrator.yaml is the list"))
    return found


def _finding(name: str, sink: Sink, facts: SinkFacts | None, now: float) -> Finding:
    kinds = " ".join(kind.value for kind in NoticeKind if kind in sink.kinds)
    if isinstance(sink.notifier, Unready) and sink.notifier.why != NO_BOT:
        return failed("notify", name, f"{sink.far} cannot be told: {sink.notifier.why}", sink.notifier.fix)
    if facts is not None and facts.trouble:
        message = f"{sink.far} is owed {facts.waiting} and was not told: {printable(facts.trouble)}"
        return warned("notify", name, message, f"python main.py notify test {name}")
    told_ts = f", last told {(now - facts.last_sent_ts) / 3600:.1f} h ago" if facts and facts.last_sent_ts else ""
    dropped = f", {facts.dropped} given up" if facts and facts.dropped else ""
    return passed("notify", name, f"{sink.far} is told of {kinds}{told_ts}{dropped}")
