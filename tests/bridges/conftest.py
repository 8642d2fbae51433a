"""Fixtures for the tests of the folder `tasks/`."""

from tests.bridges.inbox_rig import inbox, root

__all__ = ["inbox", "root"]
