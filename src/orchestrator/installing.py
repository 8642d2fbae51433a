"""What the command `service` does: the order for this root, carried out by the system's service manager."""

import os
import sys
from dataclasses import replace
from pathlib import Path

import orchestrator
from orchestrator.bridges.root_lock import holder
from orchestrator.bridges.service_manager import Surroundings, install, look, uninstall
from orchestrator.bridges.service_unit import service_name
from orchestrator.compose import make_folders, require_root
from orchestrator.configuration import Configuration
from orchestrator.core.service import ServiceOrder, ServiceState


async def service_command(configuration: Configuration, action: str, dry_run: bool) -> ServiceState:
    """Do *action* (install, uninstall, status) for the root. Raises ServiceError, ConflictError, RootError."""
    require_root(configuration.root)
    order = _order(configuration)
    where = Surroundings(sys.platform, configuration.process_environ, os.getuid())
    if action == "uninstall":
        return await uninstall(order, where, dry_run=dry_run)
    if action == "status":
        return await look(order, where)
    if not dry_run:
        make_folders(configuration.root)  # launchd opens a file in logs/ before the daemon can make the folder
    owner = holder(Path(configuration.settings.paths.state))
    done = await install(order, where, owner_pid=owner.pid if owner else 0, dry_run=dry_run)
    if missing := configuration.known_to_this_shell_only():
        note = f"Set in this shell and unknown to the service: {', '.join(missing)}. Put them into .env."
        done = replace(done, notes=(*done.notes, note))
    return done


def _order(configuration: Configuration) -> ServiceOrder:
    root = str(configuration.root.resolve())  # one service however the folder is reached
    main = Path(orchestrator.__file__).parents[2] / "main.py"
    program = (str(main),) if main.is_file() else ("-m", "orchestrator")
    path = os.pathsep.join(
        dict.fromkeys(
            folder
            for folder in configuration.process_environ.get("PATH", os.defpath).split(os.pathsep)
            if folder.startswith("/")
        )
    )
    return ServiceOrder(
        name=service_name(root),
        root=root,
        command=(sys.executable, *program, "--root", root),
        path=path,
        drain_s=configuration.settings.shutdown.drain_s,
    )
