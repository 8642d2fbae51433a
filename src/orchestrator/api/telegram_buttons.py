"""Buttons under messages of the bot: run, change, drop; cancel, retry, answer, accept, merge, discard, resume.

Each is safe to be pressed twice, by two people, or after the daemon was killed in between: what a button does is done
once, or finds that it is done.
"""

from contextlib import suppress

from orchestrator.api import telegram_words as words
from orchestrator.api.render import call_name
from orchestrator.api.telegram_answers import Answers
from orchestrator.api.telegram_desk import Desk, draft_key, live_key, message_key
from orchestrator.api.telegram_live import LiveMessages
from orchestrator.api.telegram_talk import Talk
from orchestrator.core.chat import ChatError, Incoming, Outgoing, Words
from orchestrator.core.errors import OrchestratorError
from orchestrator.core.events import TaskUid
from orchestrator.core.lifecycle import TERMINAL
from orchestrator.core.notice import Act
from orchestrator.core.plan import EVERYTHING
from orchestrator.core.taking import Merged


class Buttons:
    """Carries out what is pressed."""

    def __init__(self, desk: Desk, live: LiveMessages, answers: Answers, talk: Talk) -> None:
        self._desk = desk
        self._live = live
        self._answers = answers
        self._talk = talk

    async def press(self, one: Incoming) -> None:
        """Do what the button of *one* says, and show it. Raises ChatError, StoreError."""
        verb, _, rest = one.button.partition(":")
        try:
            if verb in ("run", "change", "drop"):
                shown = await self._of_draft(one, verb, rest)
            else:
                shown = await self._of_task(one, verb, rest)
        except OrchestratorError as error:
            if error.code == "store":
                raise
            await self._seen(one, "no")
            await self._desk.chat.send(one.chat_id, words.refusal(error))
            return
        await self._seen(one, shown)

    async def _seen(self, one: Incoming, shown: str) -> None:
        with suppress(ChatError):  # it only ends a little clock on the button
            await self._desk.chat.answer(one.query_id, shown)

    # --- requests that wait to be confirmed ---------------------------------------------------------------------

    async def _of_draft(self, one: Incoming, verb: str, rest: str) -> str:
        draft = await self._talk.draft(int(rest)) if rest.isdigit() else None
        if draft is None or draft.chat_id != one.chat_id:
            return await self._gone(one, rest)
        if verb == "run":
            return await self._talk.run_draft(one, draft)
        if verb == "drop":
            await self._desk.chat.edit(one.chat_id, one.message_id, Outgoing(f"Dropped: {draft.spec.title}"))
            await self._desk.remember({draft_key(draft.number): None})
            return "dropped"
        text = "Write the whole of it anew, as a reply to this message. As it is now:"
        said = Words().plain(f"{text}\n\n").code(draft.words)
        message_id = await self._desk.chat.send(one.chat_id, Outgoing(said.text, said.marks, asks=True))
        await self._desk.remember({message_key(one.chat_id, message_id): f"draft:{draft.number}"})
        return ""

    async def _gone(self, one: Incoming, rest: str) -> str:
        """A button of a request that was run, replaced or dropped: show what became of it."""
        if rest.isdigit() and (task := await self._talk.run_of(int(rest))) is not None:
            await self._live.begin(one.chat_id, one.message_id, task)  # it was run, and its message left behind
            return f"it is {task.state.value}"
        with suppress(ChatError):
            await self._desk.chat.unbutton(one.chat_id, one.message_id)
        return "this request is gone: write it again"

    # --- tasks --------------------------------------------------------------------------------------------------

    async def _of_task(self, one: Incoming, verb: str, rest: str) -> str:
        uid, _, n = rest.partition(":")
        if verb not in list(Act):
            return "this button is of another release"
        act = Act(verb)
        if act is Act.ANSWER:
            return await self._answer(one, TaskUid(uid), n)
        scope = await self._said_by(one, n) if act is Act.RESUME else ""
        shown = await self._acted(one, act, TaskUid(scope or uid))
        key = live_key(one.chat_id, one.message_id)
        if shown and key not in await self._desk.memory.recall(key):
            with suppress(ChatError):
                await self._desk.chat.unbutton(one.chat_id, one.message_id)
        return shown

    async def _answer(self, one: Incoming, uid: TaskUid, n: str) -> str:
        option = await self._said_by(one, n)
        if n and not option:
            return "this question is too old: /answer TASK TEXT"
        shown = await self._answers.press(one, uid, option)
        if shown:
            with suppress(ChatError):
                await self._desk.chat.unbutton(one.chat_id, one.message_id)
        return shown

    async def _said_by(self, one: Incoming, n: str) -> str:
        """Return what the button *n* of a notice stands for beside its act, "" for nothing, or nobody knows."""
        if not n.isdigit() or len(n) > 3:
            return ""
        notice = await self._desk.told_as(f"{one.chat_id}:{one.message_id}")
        return notice.buttons[int(n)].text if notice is not None and int(n) < len(notice.buttons) else ""

    async def _acted(self, one: Incoming, act: Act, uid: TaskUid) -> str:
        service, results, by = self._desk.service, self._desk.service.results, f"telegram user {one.user_id}"
        if act is Act.RESUME:
            await service.resume(uid or EVERYTHING)
            return "resumed"
        task = await service.task(uid)
        name = call_name(task)
        match act:
            case Act.CANCEL:
                key = f"telegram:run:cancel:{uid}"
                if task.state in TERMINAL:
                    return f"it has ended: {task.state.value}"
                await self._desk.done_once(key, lambda: self._desk.once(key).cancel(uid))
                return "cancelled"
            case Act.RETRY:
                key = f"telegram:run:retry:{uid}"
                again = await self._desk.done_once(key, lambda: self._desk.once(key).retry(uid))
                await self._talk.follow(one.chat_id, again)
                return "runs again"
            case Act.ACCEPT:
                await results.accept(task, by)
                await self._talk.follow(one.chat_id, await service.task(uid))
                return "accepted"
            case Act.MERGE:
                await self._seen(one, "merging")
                await self._tell(one, merged(name, await results.merge(task, unproven=False, by=by)))
                return "merged"
            case _:
                gone = await results.discard(task, by=by)
                what = f"The branch {gone.branch} of {name} is deleted" if gone.branch else f"{name} has no branch"
                await self._tell(one, f"{what}. Its commit stays as {gone.ref}." if gone.ref else f"{what}.")
                return "discarded"

    async def _tell(self, one: Incoming, text: str) -> None:
        await self._desk.chat.send(one.chat_id, Outgoing(text))


def merged(name: str, done: Merged) -> str:
    """Return what a merge came to."""
    how = done.merging
    if how.is_there:
        return f"{how.branch} has {name} already: nothing was changed."
    files = "1 file" if done.files == 1 else f"{done.files} files"
    again = f" It was proven again there: {len(done.proofs)} criteria." if done.proofs else ""
    with_it = f" With it came {', '.join(one.name for one in how.first)}." if how.first else ""
    return f"{name} is merged: {how.branch} is at {how.commit[:10]} now, {files} changed.{with_it}{again}"
