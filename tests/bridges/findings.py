"""What the tests of doctor share."""

import os
from collections.abc import Sequence

from orchestrator.core.finding import Finding, Level

UID = os.getuid()
TOKEN = "123456789:" + "AAHk_" * 7
PASS, WARN, FAIL = Level.PASS, Level.WARN, Level.FAIL
MOUNTS = """\
22 21 0:40 / /mnt/share rw - nfs4 server:/x rw
23 21 0:41 / /mnt/share/disk rw - xfs /dev/sdb rw
24 21 0:42 / /mnt/my\\040files rw - fuse.mergerfs a rw
25 21 0:43 / /mnt/c rw - 9p drvfs rw
21 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
"""


def levels(findings: Sequence[Finding]) -> dict[str, Level]:
    return {finding.name: finding.level for finding in findings}


def by_name(findings: Sequence[Finding], name: str) -> Finding:
    (found,) = [finding for finding in findings if finding.name == name]
    return found
