"""The words of bubblewrap that go before a program's own and put it into a container."""

import os


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
