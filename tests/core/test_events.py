"""The wire names of events: users and scripts filter for them (docs/adr/0008-event-names.md)."""

from orchestrator.core.events import EventKind

WIRE_NAMES = """
task_received parsed task_updated task_rejected duplicate_id edited_after_claim claude_started progress claude_finished
validated task_succeeded task_failed retry agent_limited interrupted cancel_requested task_cancelled summarized
artifacts_written task_archived artifacts_cleaned daemon_started daemon_stopped config_reloaded config_invalid
intake_paused intake_resumed agent_held agent_released file_ignored warning
"""


def test_no_event_that_people_filter_for_was_renamed_or_removed() -> None:
    assert set(WIRE_NAMES.split()) <= {str(kind) for kind in EventKind}
