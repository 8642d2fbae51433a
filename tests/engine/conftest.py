"""Fixtures for the engine's tests."""

from tests.rig import open_engine

__all__ = ["open_engine"]
