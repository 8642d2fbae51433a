"""The worker's tool costs a root nothing that does not use it."""

import subprocess
import sys

from tests.harness import SOURCE

BUILT = """
import sys
from pathlib import Path
from orchestrator import compose
from orchestrator.configuration import Configuration
from orchestrator.worker_splits import WorkerSplits, findings
from orchestrator.bridges.clock import SystemClock

configuration = Configuration(Path(sys.argv[1]), {})
tool = WorkerSplits(configuration, None, SystemClock())
agents = tool.offered_to({"claude": None})
assert findings(configuration) == ()
print(sorted({name.partition(".")[0] for name in sys.modules} & {"mcp", "mcp_types", "uvicorn", "starlette", "anyio"}))
"""


def test_a_root_that_does_not_use_the_tool_loads_none_of_its_libraries(tmp_path: object) -> None:
    env = {"PYTHONPATH": str(SOURCE), "HOME": str(tmp_path)}
    command = [sys.executable, "-c", BUILT, str(tmp_path)]
    ran = subprocess.run(command, env=env, capture_output=True, text=True, check=True, stdin=subprocess.DEVNULL)
    assert ran.stdout == "[]\n"
