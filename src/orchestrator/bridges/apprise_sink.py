"""Notices by apprise (ntfy, Slack, e-mail, desktop and more), from the extra `notify`. Implements the port `Notifier`.

apprise tells whether a message was taken, and little about why not: no wait that was asked for, and not whether a
message whose answer was lost has arrived. It is imported by whoever makes the first sink of it, and by nobody else.
"""

import logging
import threading
from collections.abc import Callable
from typing import Any

from orchestrator.bridges.aside import aside
from orchestrator.core.errors import ConfigError
from orchestrator.core.notice import Delivery, NotSent
from orchestrator.core.notice_words import plain
from orchestrator.core.text import printable

MISSING = "the package apprise is not installed"
INSTALL = "Install it with `python main.py setup notify`."
_AGAIN = "(This may have come before.)\n"
_MOST_TITLE = 100


class AppriseSink:
    """Sends to *url*; raises ConfigError where apprise cannot read it. *redact* takes secrets out of what is said."""

    def __init__(self, url: str, redact: Callable[[str], str]) -> None:
        self._service = _service(url)
        self._redact = redact
        self._busy = threading.Lock()

    @property
    def called(self) -> str:
        """What apprise calls the far side, such as `ntfy`."""
        return printable(str(self._service.service_name))

    async def send(self, delivery: Delivery) -> str:
        if not self._busy.acquire(blocking=False):
            raise NotSent("the last try has still not come to its end")
        failure = await aside(lambda: self._sent(delivery), "apprise")
        if failure is not None:
            raise failure
        return ""

    def _sent(self, delivery: Delivery) -> NotSent | None:
        try:
            return self._told(delivery)
        finally:
            self._busy.release()

    def _told(self, delivery: Delivery) -> NotSent | None:
        import apprise
        from apprise.attachment.memory import AttachMemory

        notice = delivery.notice
        title, body = notice.title[:_MOST_TITLE], plain(notice)
        body = f"{_AGAIN if delivery.again else ''}{body.removeprefix(title).lstrip()}"
        attached = None
        if notice.document is not None and self._service.attachment_support:
            content = notice.document.text.encode("utf-8", "backslashreplace")
            attached = apprise.AppriseAttachment(AttachMemory(content=content, name=notice.document.name))
        sender = apprise.Apprise()
        sender.add(self._service)
        result = sender.notify(
            title=title,
            body=_cut(body or title, int(self._service.body_maxlen)),  # without a body nothing is sent
            body_format=apprise.NotifyFormat.TEXT,
            attach=attached,
        )
        return None if result else self._failure(result)

    def _failure(self, result: Any) -> NotSent:
        attempts = [attempt for service in result for attempt in service.attempts]
        said = [
            str(line.message) for attempt in attempts for line in attempt.logs if line.level in ("WARNING", "ERROR")
        ]
        words = printable(self._redact(said[-1].split("\n")[0]))[:200] if said else "it was not taken"
        late = any(attempt.status.name == "TIMEOUT" for attempt in attempts)
        return NotSent(f"{self.called}: {words}", unsure=late)


def installed() -> bool:
    """Return whether apprise can be imported, without importing it."""
    from importlib.util import find_spec

    return find_spec("apprise") is not None


def _service(url: str) -> Any:
    try:
        import apprise
    except ImportError:
        raise ConfigError(MISSING, hint=INSTALL) from None
    for name in ("apprise", "urllib3"):  # they name addresses that are secrets: what matters of it we say ourselves
        logger = logging.getLogger(name)
        logger.setLevel(logging.WARNING)
        logger.propagate = False
        if not logger.handlers:
            logger.addHandler(logging.NullHandler())
    made = apprise.Apprise.instantiate(url, suppress_exceptions=True)
    if made is None:
        raise ConfigError("apprise cannot read the url", hint="https://appriseit.com shows the form of each service.")
    return made


def _cut(text: str, most: int) -> str:
    return text if most <= 0 or len(text) <= most else text[: most - 1] + "…"
