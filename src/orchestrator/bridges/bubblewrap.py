"""The words of bubblewrap that go before a program's own and put it into a container."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

# What root keeps inside: to work on files of others, and (setfcap) to let the inner sandbox map its own root.
_ROOT_KEEPS = ("dac_override", "fowner", "chown", "setfcap")
_ROOT_NEEDS_TO_MOUNT = ("sys_admin", "setpcap")


class Kind(StrEnum):
    """How something is seen inside."""

    READ = "--ro-bind"
    WRITE = "--bind"
    EMPTY = "--tmpfs"  # an empty folder in memory
    NOTHING = "nothing"  # a file that is there and cannot be read


@dataclass(frozen=True, slots=True)
class Mount:
    """*target* is the path inside; *source* the one outside, "" for the same. Later mounts lie over earlier ones."""

    kind: Kind
    target: str
    source: str = ""


def pid_namespace(bwrap: str) -> tuple[str, ...]:
    """Return the words for a PID namespace and nothing else: the program sees and reaches what it did before.

    *bwrap* is the path of the program. Whatever is started inside ends with the first process of the namespace, by
    the kernel, however it detached itself; and that process ends with the one that started it.
    """
    words = (bwrap, "--dev-bind", "/", "/", "--unshare-pid", "--die-with-parent")
    if os.geteuid() != 0:
        return (*words, "--proc", "/proc", "--")
    # Root without its capabilities could not write into the folders of others. And of root's /proc bubblewrap covers
    # parts, whereupon the kernel refuses a /proc to every sandbox further inside: it gets one that is whole.
    return (*words, "--cap-add", "ALL", "--", "unshare", "--mount-proc", "--")


def enclosure(
    bwrap: str,
    mounts: Sequence[Mount],
    *,
    cwd: str,
    as_root: bool,
    unshare: str = "unshare",
    setpriv: str = "setpriv",
    network: bool = True,
) -> tuple[str, ...]:
    """Return the words for a file system of *mounts* and nothing else, with processes, IPC and host name of its own.

    Without *network* there is a loopback of its own and nothing else. No `--new-session`: the supervisor has given the
    program a session without a terminal already.
    As root a fresh /proc is mounted over that of bubblewrap, which covers parts of it: the kernel would refuse one to
    every sandbox further inside. The rights that this takes are given up before the program starts.
    """
    words = [bwrap, "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try", "--die-with-parent"]
    words += [] if network else ["--unshare-net"]
    words += ["--cap-drop", "ALL"]
    if as_root:
        for capability in (*_ROOT_KEEPS, *_ROOT_NEEDS_TO_MOUNT):
            words += ["--cap-add", f"CAP_{capability.upper()}"]
    words += ["--dev", "/dev", "--proc", "/proc"]
    for mount in mounts:
        words += _words(mount)
    words += ["--remount-ro", "/", "--chdir", cwd, "--"]
    if as_root:
        kept = "".join(f",+{capability}" for capability in _ROOT_KEEPS)
        words += [unshare, "--mount-proc", "--", setpriv, "--inh-caps=-all", f"--bounding-set=-all{kept}", "--"]
    return tuple(words)


def _words(mount: Mount) -> list[str]:
    if mount.kind is Kind.EMPTY:
        return ["--tmpfs", mount.target]
    if mount.kind is Kind.NOTHING:
        return ["--ro-bind", "/dev/null", mount.target]
    return [mount.kind.value, mount.source or mount.target, mount.target]
