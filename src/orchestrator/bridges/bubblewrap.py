"""The words of bubblewrap that go before a program's own and put it into a container."""

import os


def pid_namespace(bwrap: str) -> tuple[str, ...]:
    """Return the words for a PID namespace and nothing else: the program sees and reaches what it did before.

    *bwrap* is the path of the program. Whatever is started inside ends with the first process of the namespace, by
    the kernel, however it detached itself; and that process ends with the one that started it.
    """
    return (
        *(bwrap, "--dev-bind", "/", "/", "--unshare-pid", "--proc", "/proc", "--die-with-parent"),
        *_keep_privileges(),
        "--",
    )


def _keep_privileges() -> tuple[str, ...]:
    """Root without its capabilities could not write into the folders of others; anybody else would gain some."""
    return ("--cap-add", "ALL") if os.geteuid() == 0 else ()
