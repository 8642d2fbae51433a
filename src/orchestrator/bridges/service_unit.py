"""What a service manager is told to keep running: a systemd user unit, a launchd property list. Pure text."""

import hashlib
import plistlib
from pathlib import PurePath

from orchestrator.core.errors import ExitCode, UsageError
from orchestrator.core.service import ServiceOrder
from orchestrator.core.text import slug

WATCHDOG_S = 30
START_S = 900  # a start takes up what an earlier daemon left: that may be much
BEYOND_DRAIN_S = 60  # for ending what did not end by itself, and the last files
RESTART_S = 5
THROTTLE_S = 60
OPEN_FILES = 65_536
NOT_STARTED_BY_IT = "ORCHESTRATOR_NO_SETUP"  # a service installs nothing: it would do so at every reboot without you
# Starting again would change nothing: another daemon owns the root, or the configuration is wrong.
FINAL = (ExitCode.TEMPORARY.value, 78, ExitCode.CONFIG.value)


def service_name(root: str) -> str:
    """Return the name of the service of *root*: one for each, whatever the folders are called."""
    mark = hashlib.sha256(root.encode("utf-8", "surrogateescape")).hexdigest()[:8]
    return f"orchestrator-{slug(PurePath(root).name)[:40]}-{mark}"


def systemd_unit(order: ServiceOrder) -> str:
    """Return the text of the user unit. Raises UsageError for a path that no unit can carry."""
    if any(char in order.command[0] for char in "\"'\\"):
        raise _refused(order.command[0])  # systemd takes them in arguments, not in the program's own name
    command = " ".join(_quoted(word) for word in order.command)
    stop_s = int(order.drain_s) + BEYOND_DRAIN_S
    return f"""\
# Written by `service install`; changes are lost with the next one.
[Unit]
Description=AI Task Orchestrator on {_plain(order.root)}
StartLimitIntervalSec=300
StartLimitBurst=5

[Service]
Type=notify
NotifyAccess=main
# The colon: a $ in a path is no variable.
ExecStart=:{command}
ExecReload=/bin/kill -HUP $MAINPID
WorkingDirectory={_plain(order.root)}
Environment={_quoted(f"PATH={order.path}")}
Environment={NOT_STARTED_BY_IT}=1
# It says itself, from its event loop, that it is alive.
WatchdogSec={WATCHDOG_S}
TimeoutStartSec={START_S}
# Running tasks may go on for {order.drain_s:g} s (shutdown.drain_s); what is left then is resumed by the next start.
TimeoutStopSec={stop_s}
# Only the daemon is signalled. It ends its agents itself; when it is killed their supervisors notice, let a run that
# has its result end well, and end all others: a signal to them from here would lose what was paid for.
KillMode=process
Restart=on-failure
RestartSec={RESTART_S}
RestartPreventExitStatus={" ".join(map(str, FINAL))}
LimitNOFILE={OPEN_FILES}
Delegate=yes

[Install]
WantedBy=default.target
"""


def launchd_plist(order: ServiceOrder) -> bytes:
    """Return the property list of the agent, as XML. Raises UsageError for a path with control characters."""
    for value in (order.root, order.path, *order.command):
        _checked(value)
    return plistlib.dumps(
        {
            "Label": order.name,
            "ProgramArguments": list(order.command),
            "WorkingDirectory": order.root,
            "EnvironmentVariables": {"PATH": order.path, NOT_STARTED_BY_IT: "1"},
            "RunAtLoad": True,
            "KeepAlive": {"SuccessfulExit": False},
            "ThrottleInterval": THROTTLE_S,
            "ExitTimeOut": int(order.drain_s) + BEYOND_DRAIN_S,
            "SoftResourceLimits": {"NumberOfFiles": OPEN_FILES},
            "StandardErrorPath": f"{order.root}/logs/service.err.log",
        },
        sort_keys=False,
    )


def _checked(value: str) -> str:
    if not value.isprintable() or value != value.strip() or value.endswith("\\"):
        raise _refused(value)
    return value


def _refused(value: str) -> UsageError:
    hint = "Rename the folder, or put a link with a plain name beside it and install from there."
    return UsageError(f"a service manager cannot carry this path: {value!r}", hint=hint)


def _plain(value: str) -> str:
    """Return *value* for a line that is taken as it is but for specifiers."""
    return _checked(value).replace("%", "%%")


def _quoted(value: str) -> str:
    """Return *value* as one word."""
    escaped = _plain(value).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
