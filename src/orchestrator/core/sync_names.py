"""Names that sync tools, editors and downloads give to files that are no file of a person: half a transfer, or the
second version of a file that was changed in two places. Pure; docs/folder.md lists them by tool.
"""

import re

# Syncthing, Dropbox, Office and OneDrive, iCloud, Nextcloud, Google Drive, rsync, vim, emacs, gedit, LibreOffice: all
# of them hide what is not finished behind a dot or a tilde; emacs sets # around what it saves by itself.
_TEMPORARY_STARTS = (".", "~", "#", "$~")
_TEMPORARY_ENDS = re.compile(
    r"""(?: ~ | \# | ___jb_(?:tmp|old)___ | ~rf[0-9a-f]+\.tmp
        | \.(?: tmp | temp | part | partial | filepart | crdownload | download | swp | swo | swx | bak | orig | rej
              | icloud | lock | kate-swp | ~[0-9a-f]+ | !sync | !qb | driveupload | drivedownload ) )\Z""",
    re.IGNORECASE | re.VERBOSE,
)
_CONFLICT = re.compile(
    r"""[._]sync-conflict-[0-9]{8}-[0-9]{6}    # Syncthing
        | _conflict-[0-9]{8}-[0-9]{6}    # ownCloud
        | \([^()]*\b(?:conflicted\ copy|case\ conflict|encoding\ conflict)\b[^()]*\)    # Dropbox, Nextcloud
        | \(sfconflict\ [^()]*\) | \[conflicted?\]    # Seafile, pCloud""",
    re.IGNORECASE | re.VERBOSE,
)


def is_temporary(name: str) -> bool:
    """Return whether *name* is that of a file nobody has finished, or of a program's own."""
    return name.startswith(_TEMPORARY_STARTS) or _TEMPORARY_ENDS.search(name) is not None


def is_conflict(name: str, kind: str) -> bool:
    """Return whether *name* is that of another version of a file `x.<kind>.md`: `x.task (1).md`, `x.task-LAPTOP.md`.

    Most tools put their words before the last ending, some before the first; either way it is no file `x.<kind>.md`.
    """
    low = name.lower()
    if f".{kind}" not in low or not low.endswith(".md") or is_temporary(name):
        return False
    if low.endswith(f".{kind}.md"):
        return _CONFLICT.search(name) is not None
    return re.search(rf"\.{kind}[ (\[._~-].*\.md\Z", low) is not None
