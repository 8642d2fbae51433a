"""Answers to questions of agents, as they come by command, by reply and by button."""

from orchestrator.api.render import call_name, short
from orchestrator.api.telegram_desk import Desk, message_key, request_key
from orchestrator.core.chat import Incoming, Outgoing, Words
from orchestrator.core.errors import AmbiguousError, NotFoundError
from orchestrator.core.events import TaskUid
from orchestrator.core.lifecycle import State
from orchestrator.core.task import Task

DOOR = "telegram"


class Answers:
    """Gives answers to tasks that wait for one."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def command(self, one: Incoming, rest: str) -> None:
        """/answer TASK TEXT; TASK may be left out where only one task asks something."""
        asking = (await self._desk.service.status()).asking
        key, _, text = rest.partition(" ")
        task = await self._named(key) if key else None
        if task is not None and text.strip():
            await self._give(one, task, text)
        elif rest and len(asking) == 1 and task is None:
            await self._give(one, asking[0], rest)
        elif task is not None:
            await self.ask(one.chat_id, task)
        elif asking:
            names = ", ".join(call_name(task) for task in asking)
            await self._say(one, f"/answer TASK TEXT. These ask something: {names}")
        else:
            await self._say(one, "No task asks anything.")

    async def give(self, one: Incoming, uid: TaskUid, text: str) -> None:
        """Take *text* for the answer to what the task *uid* asks."""
        await self._give(one, await self._desk.service.task(uid), text)

    async def press(self, one: Incoming, uid: TaskUid, option: str) -> str:
        """Give the answer of a button, or ask for one in words. Returns what to show."""
        task = await self._desk.service.task(uid)
        if not option:
            await self.ask(one.chat_id, task)
            return ""
        question = await self._desk.service.question(task)
        known = (await self._desk.memory.recall(request_key(one.number))).keys()
        if not known and (question is None or option not in question.options):
            return f"{call_name(task)} does not ask that any more"
        await self._once(one, task, option)
        return f"answered: {short(option, 100)}"

    async def ask(self, chat_id: int, task: Task) -> None:
        """Show what *task* asks, in a message that a reply answers."""
        question = await self._desk.service.question(task)
        if question is None:
            await self._desk.chat.send(chat_id, Outgoing(f"{call_name(task)} asks nothing: it is {task.state.value}."))
            return
        words = Words().bold(call_name(task)).plain(f" asks:\n{question.text}\n")
        for n, option in enumerate(question.options, 1):
            words = words.plain(f"{n}. {option}\n")
        words = words.plain("\nYour answer, as a reply to this message:")
        message_id = await self._desk.chat.send(chat_id, Outgoing(words.text, words.marks, asks=True))
        await self._desk.remember({message_key(chat_id, message_id): f"task:{task.uid}"})

    async def _give(self, one: Incoming, task: Task, text: str) -> None:
        after = await self._once(one, task, text)
        said = "goes on with it" if after.state is not State.NEEDS_INPUT else "waits still"
        await self._say(one, f"{call_name(after)} {said}: {short(text, 200)}")

    async def _once(self, one: Incoming, task: Task, text: str) -> Task:
        key = request_key(one.number)
        return await self._desk.done_once(key, lambda: self._desk.once(key).answer(task.uid, text, door=DOOR))

    async def _named(self, key: str) -> Task | None:
        try:
            return await self._desk.service.task(key)
        except (NotFoundError, AmbiguousError):
            return None

    async def _say(self, one: Incoming, text: str) -> None:
        await self._desk.chat.send(one.chat_id, Outgoing(text))
