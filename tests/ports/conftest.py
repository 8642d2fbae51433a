"""The conformance suite is no test module by name; its assertions shall speak all the same."""

import pytest

pytest.register_assert_rewrite(
    "tests.ports.agent_contract",
    "tests.ports.store_writes_contract",
    "tests.ports.store_reads_contract",
    "tests.ports.store_money_contract",
)
