"""What a person says to the bot: commands, free words that become a task, replies that are answers."""

from collections.abc import Awaitable, Callable, Mapping

from orchestrator.api import telegram_words as words
from orchestrator.api.cli_report import moment_of
from orchestrator.api.render import call_name, duration, hold_lines
from orchestrator.api.telegram_answers import Answers
from orchestrator.api.telegram_desk import (
    Desk,
    Draft,
    draft_key,
    draft_of,
    draft_text,
    message_key,
    request_key,
    run_key,
    task_of,
)
from orchestrator.api.telegram_live import LiveMessages
from orchestrator.core.chat import Incoming, Outgoing
from orchestrator.core.errors import NotFoundError, OrchestratorError
from orchestrator.core.flood import Allowance, Buckets
from orchestrator.core.plan import EVERYTHING
from orchestrator.core.report_batch import batch_text
from orchestrator.core.request import request_id
from orchestrator.core.task import Task, TaskSpec

TASKS = (Allowance(5, 60.0), Allowance(100, 86_400.0))
_Command = Callable[[Incoming, str], Awaitable[None]]


class Talk:
    """Carries out what is said. Every method answers by itself; raises what the service raises, and ChatError."""

    def __init__(self, desk: Desk, live: LiveMessages, answers: Answers, name: Callable[[], str]) -> None:
        self._desk = desk
        self._live = live
        self._answers = answers
        self._name = name
        self._tasks = Buckets(TASKS)
        self._commands: Mapping[str, _Command] = {
            "start": self._start,
            "help": self._help,
            "task": self._task,
            "status": self._status,
            "progress": self._progress,
            "cancel": self._cancel,
            "retry": self._retry,
            "answer": self._answers.command,
            "report": self._report,
            "pause": self._pause,
            "resume": self._resume,
        }

    async def hear(self, one: Incoming) -> None:
        """Handle what somebody wrote."""
        command, rest = self._command_in(one)
        if command and one.forwarded:
            await self.say(one, "A forwarded command is not carried out: type it yourself.")
        elif command:
            if (act := self._commands.get(command)) is None:
                await self.say(one, f"There is no /{command} here. /help lists what there is.")
            else:
                await act(one, rest)
        elif one.file:
            await self.say(one, "Only text is read here, no files. Nothing was done.")
        elif one.reply_to and await self._reply(one):
            return
        elif one.private or one.reply_to:
            await self._free(one, one.text)

    def _command_in(self, one: Incoming) -> tuple[str, str]:
        """Return (command, the rest) of a message; ("", "") where it is none, or one of another bot."""
        first, _, rest = one.text.partition("\n" if "\n" in one.text.partition(" ")[0] else " ")
        if not first.startswith("/") or "/" in first[1:]:
            return "", ""
        command, _, whose = first[1:].partition("@")
        if whose and whose.lower() != self._name().lower():
            return "", ""
        known = command.lower() in self._commands or command.isalpha()
        return (command.lower(), rest.strip()) if known else ("", "")

    async def say(self, one: Incoming, text: str) -> None:
        """Answer *one* in plain words."""
        await self._desk.chat.send(one.chat_id, Outgoing(text, reply_to=0 if one.private else one.message_id))

    async def _start(self, one: Incoming, _: str) -> None:
        await self._desk.chat.send(one.chat_id, words.hello(self._name()))

    async def _help(self, one: Incoming, _: str) -> None:
        await self._desk.chat.send(one.chat_id, words.help_text())

    # --- tasks --------------------------------------------------------------------------------------------------

    async def _task(self, one: Incoming, text: str) -> None:
        """Run what is asked for at once, unless something of it was not understood."""
        if not text:
            await self.say(one, f"Say what is to be done: /task {words.EXAMPLE}")
            return
        spec = await self._understood(text, one.number)
        if words.is_doubtful(spec) or one.forwarded:
            await self._ask(Draft(one.number, one.chat_id, one.user_id, text, spec))
            return
        if wait := self.too_many(one.user_id):
            await self.say(one, wait)
            return
        key = request_key(one.number)
        by = str(one.user_id)
        task = await self._desk.done_once(key, lambda: self._desk.submit(key, spec, text, by))
        await self.follow(one.chat_id, task)

    async def _free(self, one: Incoming, text: str) -> None:
        """Say what was understood of free words, and ask."""
        spec = await self._understood(text, one.number)
        await self._ask(Draft(one.number, one.chat_id, one.user_id, text, spec))

    async def _understood(self, text: str, number: int) -> TaskSpec:
        name = request_id(text)
        try:
            await self._desk.service.task(name)
        except NotFoundError:
            pass
        except OrchestratorError:
            name = f"{name}_{number % 10_000}"
        else:
            name = f"{name}_{number % 10_000}"
        return await self._desk.read(text, name)

    async def _ask(self, draft: Draft) -> None:
        await self._desk.remember({draft_key(draft.number): draft_text(draft)})
        message_id = await self._desk.chat.send(draft.chat_id, words.draft(draft.spec, draft.number))
        await self._desk.remember({message_key(draft.chat_id, message_id): f"draft:{draft.number}"})

    async def draft(self, number: int) -> Draft | None:
        """Return a request that waits to be confirmed."""
        key = draft_key(number)
        text = (await self._desk.memory.recall(key)).get(key)
        return draft_of(text) if text else None

    async def run_of(self, number: int) -> Task | None:
        """Return the task that a request has become; None where it was not run."""
        key = run_key(number)
        uid = (await self._desk.memory.recall(key)).get(key, "")
        return await self._desk.service.task(uid) if uid else None

    async def run_draft(self, one: Incoming, draft: Draft) -> str:
        """Accept a confirmed request; its message tells the progress from now on. Returns what to show."""
        key = run_key(draft.number)
        known = (await self._desk.memory.recall(key)).get(key)
        if known is None and (wait := self.too_many(one.user_id)):
            return wait
        by = str(one.user_id)
        task = await self._desk.done_once(key, lambda: self._desk.submit(key, draft.spec, draft.words, by))
        await self._desk.remember({draft_key(draft.number): None})
        await self._live.begin(one.chat_id, one.message_id, task)
        return "accepted"

    async def follow(self, chat_id: int, task: Task) -> None:
        """Say how it stands with *task*, in a message that goes on telling it."""
        message_id = await self._desk.chat.send(chat_id, await self._live.message(task))
        await self._live.begin(chat_id, message_id, task)

    def too_many(self, user_id: int) -> str:
        """Return what to say to somebody who asks for too many tasks, "" to anybody else."""
        wait_s = self._tasks.wait_s(user_id, self._desk.clock.monotonic())
        if not wait_s:
            return ""
        most = " and ".join(f"{one.most} in {duration(one.within_s)}" for one in TASKS)
        return f"Not accepted: at most {most}. Try again in {duration(wait_s)}."

    async def _reply(self, one: Incoming) -> bool:
        """Take a reply for what it answers. Returns False where it answers nothing that is known."""
        key = message_key(one.chat_id, one.reply_to)
        mark = (await self._desk.memory.recall(key)).get(key, "")
        if mark.startswith("draft:"):
            old = await self.draft(int(mark.partition(":")[2]))
            await self._free(one, one.text)
            if old is not None:
                await self._desk.remember({draft_key(old.number): None})
            return True
        notice = await self._desk.told_as(f"{one.chat_id}:{one.reply_to}")
        uid = task_of(mark) or (notice.uid if notice is not None else None)
        if not uid:
            return False
        await self._answers.give(one, uid, one.text)
        return True

    # --- commands about tasks and the whole ---------------------------------------------------------------------

    async def _status(self, one: Incoming, _: str) -> None:
        look, jobs = await self._desk.service.status(), await self._desk.service.jobs.going_on()
        await self._desk.chat.send(one.chat_id, words.status(look, self._desk.clock.now(), jobs))

    async def _progress(self, one: Incoming, key: str) -> None:
        if key:
            await self.follow(one.chat_id, await self._desk.service.task(key))
            return
        active = (await self._desk.service.status()).active
        if len(active) == 1:
            await self.follow(one.chat_id, active[0])
        elif active:
            await self.say(one, "Of which? " + ", ".join(call_name(task) for task in active[: words.SHOWN]))
        else:
            await self.say(one, "Nothing runs. /progress TASK tells of one that waits or has ended.")

    async def _cancel(self, one: Incoming, key: str) -> None:
        if not key:
            await self.say(one, "Which one? /cancel TASK")
            return
        once = request_key(one.number)
        task = await self._desk.done_once(once, lambda: self._desk.once(once).cancel(key))
        await self.say(one, f"{call_name(task)} is {task.state.value}.")

    async def _retry(self, one: Incoming, key: str) -> None:
        if not key:
            await self.say(one, "Which one? /retry TASK")
            return
        once = request_key(one.number)
        task = await self._desk.done_once(once, lambda: self._desk.once(once).retry(key))
        await self.follow(one.chat_id, task)

    async def _report(self, one: Incoming, since: str) -> None:
        after = moment_of(since, self._desk.clock.now()) if since else None
        text = batch_text(await self._desk.service.report(since=after))
        await self._desk.chat.send(one.chat_id, Outgoing(text.replace("**", "").replace("`", "").strip()))

    async def _pause(self, one: Incoming, scope: str) -> None:
        done = await self._desk.service.pause(scope or EVERYTHING)
        running = len((await self._desk.service.status(limit=1)).active)
        await self.say(one, words.paused(done.scope, done.task, changed=done.changed, running=running))

    async def _resume(self, one: Incoming, scope: str) -> None:
        done = await self._desk.service.resume(scope or EVERYTHING)
        now = self._desk.clock.now()
        still = [hold_lines(pause, now, "")[0].partition("; ")[0] for pause in done.still]
        await self.say(one, words.resumed(done.scope, done.task, changed=done.changed, still=still))
