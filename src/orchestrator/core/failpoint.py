"""Named places at which a test can make the program die, meet an error or wait: one line each, free when unused.

`hit("claim.renamed")` does nothing until somebody installs an act; `app` does so where the environment asks for it, and
the acts themselves live in `kit.failpoints`. A place that nobody reaches is found by the sweep in `tests/under_fire`.
The supervisor of an attempt imports this module too: it imports nothing.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

STEP, DISK, STORE = "step", "disk", "store"
"""What can go wrong at a point: nothing of its own (between two steps), a call of the file system, one of SQLite."""

POINTS: "dict[str, str]" = {
    "accept.read": STEP,  # files are read, nothing is decided
    "accept.stored": STEP,  # their tasks are committed, the intake does not know it yet
    "refuse.noted": DISK,  # the error of a refused file lies in failed/, the file still in tasks/
    "refuse.moved": STEP,  # the file is moved too, its row is not stored
    "store.begun": STORE,  # a transaction holds the lock and has written nothing
    "store.written": STORE,  # all is written, not committed
    "store.committed": STORE,  # committed, and nobody knows
    "store.checkpoint": STORE,  # the WAL is about to be moved into the database
    "job.accepted": STEP,  # a job file's tasks are committed, the file still lies in tasks/
    "job.archived": STEP,  # it lies in its archive, the intake does not know it yet
    "unblock.decided": STEP,  # what follows for tasks that wait for others is known, not stored
    "claim.committed": STEP,  # the start is recorded, nothing has been done
    "claim.folder": DISK,  # running/<uid>/ is there, the file not in it
    "claim.renamed": DISK,  # the file is in it
    "claim.done": STEP,
    "area.cloned": STEP,  # the clone is whole, nobody knows of it
    "area.merged": STEP,  # results of other tasks are one commit with where it begins, nobody knows of it
    "area.recorded": DISK,  # it is remembered durably
    "prepare.area": STEP,  # the work area is there
    "prepare.baseline": DISK,  # how it looks is about to be remembered
    "prepare.begun": DISK,  # the session is remembered in the attempt's folder
    "prepare.files": DISK,  # prompt and output files are open and locked
    "prepare.spawned": DISK,  # the supervisor runs, the daemon does not listen to it yet
    "supervisor.begun": STEP,  # it has its order, and no agent
    "supervisor.spawned": STEP,  # the agent runs, nobody watches it
    "supervisor.reaped": STEP,  # the agent has ended, its tree perhaps not
    "supervisor.ended": DISK,  # nothing is alive, the exit record is not written
    "supervisor.written": DISK,  # it is written under its temporary name
    "supervisor.published": STEP,  # it is durable, the daemon does not know
    "run.progress": STEP,  # the agent has reported something
    "collect.locked": STEP,  # the old supervisor is gone, perhaps not all it started
    "collect.settled": STEP,  # nothing of the old attempt is alive, its outcome is not read
    "keep.snapshot": STEP,  # the files of a clone are a commit of ours, the person's repository has no ref to it
    "keep.fetched": STEP,  # it has, and that is not noted
    "prove.checkout": DISK,  # a clean checkout is there, no check has run in it
    "prove.check": STEP,  # a check runs
    "deliver.committed": STEP,  # the result is a commit of ours
    "deliver.fetched": STEP,  # the person's repository has it, and the branch perhaps not
    "take.prepared": STEP,  # what a merge brings is in the person's repository, their branch is where it was
    "take.forwarded": STEP,  # their branch has it, nobody was told
    "take.discarded": STEP,  # the branch of a result is gone, nobody was told
    "finish.outcome": STEP,  # the outcome is known, not stored
    "finish.committed": STEP,  # it is stored, not judged
    "finish.kept": STEP,  # what the attempt left is kept, nothing of its end is stored
    "finish.changes": STEP,  # what changed is known
    "finish.delivered": STEP,  # the result is with the person, the verdict is not stored
    "finish.judged": STEP,  # the verdict is stored: the task has ended, or waits for another try
    "finish.interrupted": STEP,
    "question.written": DISK,  # the file that waits for an answer is there
    "question.removed": DISK,  # it is gone, the folder is not synced
    "answer.committed": STEP,  # an answer is stored, the file that held it still there
    "finish.cancelled": STEP,
    "project.summary": DISK,  # the summary is written, the result is not
    "project.result": STEP,  # both are written, the file is not archived
    "project.noted": STEP,  # all is noted in the store
    "project.events": DISK,  # event lines are about to be written
    "project.appended": DISK,  # they are written, the sink does not remember how far
    "project.rotate": DISK,  # the event log is full and about to get another name
    "archive.found": DISK,  # the file is about to leave running/<uid>/
    "archive.moved": DISK,  # it lies in its archive, running/<uid>/ is still there
    "archive.created": DISK,  # it was gone, and is about to be made again from the store
    "files.sync": DISK,  # the bytes of a file are about to be brought to the disk
    "files.folder": DISK,  # the names in a folder are
    "files.temporary": DISK,  # a file is written under a temporary name, durably
    "files.replaced": DISK,  # it has its name, the folder is not synced
    "files.renamed": DISK,  # a file was moved, the folders are not synced
    "notice.owed": STEP,  # a notice is in the store, with the place in the log up to which all are
    "notice.sending": STEP,  # it is noted that it is being sent, and it is not
    "notice.taken": STEP,  # the far side has taken it, the store does not know
    "notice.noted": STEP,  # it does
    "hook.started": STEP,  # a hook runs
    "hook.after": STEP,  # the hooks after a task have run, and that is not noted
    "recover.listed": STEP,  # what an earlier daemon left is known
    "recover.taken": STEP,  # one of it is brought to its end
    "recover.projected": STEP,  # files are up to date
    "recover.restored": STEP,  # missing results are written again
    "recover.adopted": DISK,  # folders without a row were put back
}

_act: "Callable[[str], None] | None" = None
passed_on = ""
"""What the supervisor of an attempt runs before it begins, as Python source; "" for nothing."""


def hit(name: str) -> None:
    """Say that the point *name* is reached."""
    if _act is not None:
        _act(name)


def install(act: "Callable[[str], None] | None", *, supervisor: str = "") -> None:
    """Call *act* with the name of every point that is reached from now on, None for nothing.

    *supervisor* is source that does the same in the supervisors that are started.
    """
    global _act, passed_on
    _act, passed_on = act, supervisor
