"""AI Task Orchestrator: drop task files in a folder, go away, come back to verified results."""

__version__ = "0.1.0"
