"""The worker's tool costs a root nothing that does not use it."""

import subprocess
import sys
from pathlib import Path

import pytest
from tests.harness import SOURCE

from orchestrator.configuration import Configuration
from orchestrator.core.finding import Level
from orchestrator.worker_splits import findings

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


@pytest.mark.parametrize(("tool", "there", "told"), [(True, False, 1), (True, True, 0), (False, False, 0)])
def test_doctor_warns_where_the_tool_is_on_and_its_library_is_not_there(
    tmp_path: Path, tool: bool, there: bool, told: int
) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "orchestrator.yaml").write_text(f"orchestrate:\n  tool: {str(tool).lower()}\n")
    found = findings(Configuration(tmp_path, {}), there=lambda: there)
    assert [(one.level, one.fix) for one in found] == [(Level.WARN, "python3 main.py setup mcp")] * told
    assert all("workers do not get split_task: the library mcp is not installed" in one.message for one in found)


def test_a_root_that_does_not_use_the_tool_loads_none_of_its_libraries(tmp_path: Path) -> None:
    env = {"PYTHONPATH": str(SOURCE), "HOME": str(tmp_path)}
    command = [sys.executable, "-c", BUILT, str(tmp_path)]
    ran = subprocess.run(command, env=env, capture_output=True, text=True, check=True, stdin=subprocess.DEVNULL)
    assert ran.stdout == "[]\n"
