"""Why a task file is refused, and what is worth a warning: two closed catalogues.

A reason is a stable word: it stands in `<name>.error.json`, in events and on the command line.
Each has one sentence on what it means and one on what to do now.
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FileReason:
    """*meaning* completes "the file is refused because"; *hint* says what to do now."""

    meaning: str
    hint: str


_QUOTE = "Put the value in single quotes."
_ID_HINT = "Use 1 to 64 letters, digits, dots, dashes and underscores, beginning with a letter or digit."
_INSIDE = "Write a path under the allowed root, or one relative to the base folder."

TASK_FILE_REASONS: Mapping[str, FileReason] = {
    # the bytes
    "empty_file": FileReason("it is empty", "Write what should be done, save, and it is read again."),
    "file_too_large": FileReason("it is larger than a task file may be", "Keep data in files and name them."),
    "line_too_long": FileReason("one of its lines is too long", "Break the line, or put the data in a file."),
    "encoding_utf16": FileReason("it is UTF-16 or UTF-32", "Save the file as UTF-8."),
    "encoding_invalid": FileReason("it is not valid UTF-8", "Save the file as UTF-8."),
    "control_character": FileReason("it holds a character that no text has", "Delete the character."),
    # the front matter as such
    "front_matter_unterminated": FileReason("its front matter has no end", "Add a line `---` after the last key."),
    "front_matter_misplaced": FileReason("its front matter is not at the top", "Move the first `---` to line 1."),
    "front_matter_too_large": FileReason("its front matter is too large", "Move the text below the second `---`."),
    "front_matter_not_a_mapping": FileReason(
        "its front matter is not a list of keys", "Write lines such as `type: fix` between the two `---`."
    ),
    "yaml_syntax": FileReason("its front matter is not valid YAML", _QUOTE),
    "too_deep": FileReason("its front matter is nested too deeply", "Write plain `key: value` lines."),
    "too_many_nodes": FileReason("its front matter has too many values", "Move the text below the second `---`."),
    "duplicate_key": FileReason("a key stands there twice", "Keep one of the two lines."),
    "non_string_key": FileReason("a key is not a word", "Write `key: value`."),
    "anchors_forbidden": FileReason(
        "it uses a YAML anchor or alias", "Write the value out, or quote it if it is text."
    ),
    "merge_key_forbidden": FileReason("it uses the YAML merge key `<<`", "Write the keys out."),
    "tags_forbidden": FileReason("it uses a YAML tag", "Remove the word with `!`, or quote the value if it is text."),
    "multiple_documents": FileReason("it holds two YAML documents", "Keep one block between two lines `---`."),
    "directives_forbidden": FileReason("it holds a YAML directive", "Delete the line that begins with `%`."),
    # its fields
    "field_not_allowed": FileReason(
        "it asks for something only the operator may set", "Remove the line; the configuration decides this."
    ),
    "unknown_field": FileReason("it has a key that means nothing", "Correct the key, or begin it with `x-`."),
    "wrong_shape": FileReason("a value is a list or a map where a text belongs", f"{_QUOTE} Or write one plain value."),
    "id_missing": FileReason("`id:` is written but empty", "Write an id, or delete the line to get one by file name."),
    "id_invalid": FileReason("its id cannot be part of a file name", _ID_HINT),
    "id_reserved": FileReason("its id is the name of a device on Windows", "Choose another id."),
    "id_too_long": FileReason("its id is too long", _ID_HINT),
    "type_invalid": FileReason("its type is none of the configured ones", "Write one of the types listed."),
    "type_placeholder": FileReason("its type is still that of the template", "Keep one of the types."),
    "priority_invalid": FileReason("its priority is none of the three", "Write high, medium or low."),
    "priority_placeholder": FileReason("its priority is still that of the template", "Keep one of the three."),
    "created_invalid": FileReason("`created` is no date and time", "Write it like 2025-08-03T10:30:00Z."),
    "title_invalid": FileReason("its title says nothing", "Write a title in words."),
    "timeout_out_of_range": FileReason("its timeout is out of range", "Write whole seconds within the range."),
    "max_turns_out_of_range": FileReason("`max_turns` is out of range", "Write a whole number within the range."),
    "budget_out_of_range": FileReason("`budget_usd` is out of range", "Write US dollars within the range."),
    "retries_out_of_range": FileReason("`retries` is out of range", "Write a whole number within the range."),
    "agent_unknown": FileReason("its agent is not configured", "Write one of the agents listed."),
    "model_invalid": FileReason("its model is no model name", "Write the name as the provider writes it."),
    "cwd_invalid": FileReason("`cwd` is not a path", _INSIDE),
    "tags_invalid": FileReason("its tags are not a list of words", "Write `tags: one, two`."),
    "rerun_invalid": FileReason("`rerun` is neither true nor false", "Write true or false."),
    "if_unanswered_invalid": FileReason(
        "`if_unanswered` is none of the three", "Write wait, skip, or 'default: the answer to give' in quotes."
    ),
    "answer_within_invalid": FileReason("`answer_within` is no time", "Write it like 30m, 2h or 1d."),
    "after_invalid": FileReason("`after` is no point in time", "Write it like 22:00, 2026-11-28T22:00 or `in 2h`."),
    "schedule_invalid": FileReason(
        "`schedule` is no schedule", "Write five fields like `30 2 * * mon-fri`, or @daily; docs/schedules.md has more."
    ),
    "timezone_invalid": FileReason("`timezone` is none that this machine knows", "Write it like Europe/Berlin."),
    "deadline_invalid": FileReason(
        "`deadline` is no point in time, or none for this task", "Write it like 06:00, 2026-11-29T06:00 or `in 8h`."
    ),
    # what it belongs to
    "depends_on_invalid": FileReason("`depends_on` holds what is no id", "Write `depends_on: one, two`."),
    "on_dependency_invalid": FileReason(
        "`on_dependency` is none of the three", "Write block, skip or run_anyway; docs/jobs.md says what they mean."
    ),
    "job_invalid": FileReason("`job` cannot name a job", "Write a short name in one line."),
    "branch_invalid": FileReason("`branch` is no name that git gives a branch", "Write a name such as feature/login."),
    "max_depth_out_of_range": FileReason("`max_depth` is out of range", "Write a whole number within the range."),
    "max_children_out_of_range": FileReason("`max_children` is out of range", "Write a whole number within the range."),
    "tree_budget_out_of_range": FileReason("`tree_budget_usd` is out of range", "Write US dollars within the range."),
    "approve_invalid": FileReason("`approve` asks for what nobody approves", "Write `approve: plan`, or leave it out."),
    "dependency_cycle": FileReason(
        "it would wait for itself", "Remove one of the dependencies that are spelled out in the message."
    ),
    # a file of many tasks
    "job_syntax": FileReason("it is no job file", "docs/jobs.md shows both forms."),
    "job_empty": FileReason("it has no task in it", "Write at least one task; docs/jobs.md shows how."),
    "job_too_large": FileReason("it has more tasks than a job may have", "Make several jobs of it."),
    "job_field_invalid": FileReason("a value in it has another type than it should", "docs/jobs.md lists the keys."),
    "job_unknown_key": FileReason("it has a key that means nothing", "docs/jobs.md lists the keys."),
    "job_duplicate_id": FileReason("two of its tasks have the same id", "Give each task an id of its own."),
    "job_unknown_id": FileReason(
        "a task depends on an id that no task of it has", "Correct the id, or add the task to the file."
    ),
    "job_duplicate": FileReason(
        "exactly this file is a job already", "Wait for it, or change something to have it done once more."
    ),
    # its body
    "prompt_missing": FileReason("it does not say what to do", "Write the work to be done under `**Prompt:**`."),
    "prompt_too_large": FileReason("its prompt is too large", "Put the data in files and name them."),
    "duplicate_section": FileReason("a section stands there twice", "Join the two sections, or rename one."),
    "too_many_targets": FileReason("it names too many target files", "Name folders, or split the task."),
    "too_many_criteria": FileReason("it has too many success criteria", "Join criteria, or split the task."),
    "target_invalid": FileReason("a target file is not a path", "Write one path to a line, in backticks if need be."),
    "target_outside_root": FileReason("a target file lies outside the allowed root", _INSIDE),
    "target_symlink_escape": FileReason("a target file leads outside the allowed root by a link", _INSIDE),
    # the checks of its criteria
    "check_form_invalid": FileReason(
        "a criterion begins like a check and is none", "Write it as docs/task-files.md shows, or in other words."
    ),
    "check_shell_syntax": FileReason(
        "a check needs a shell, and none is started", "Write `sh -c '…'` around it, or quote the character."
    ),
    "check_command_invalid": FileReason(
        "a check is no command",
        "Write program and arguments; put another word behind the code span if it is no check.",
    ),
    "check_path_invalid": FileReason(
        "a check names no path in the work area", "Write the path of a file, relative and without `..`."
    ),
    "check_value_invalid": FileReason("a check compares with what cannot be read", "Correct the pattern or value."),
    "check_too_long": FileReason("a check is too long", "Put the command into a script and run that."),
    "check_not_allowed": FileReason(
        "a check runs a command, and this door may bring none",
        "Drop the file into tasks/, or add the door to proof.allow_commands_from.",
    ),
    # its place among others
    "id_conflict": FileReason("its id differs from another only in case", "Choose another id."),
    "duplicate_content": FileReason("the same file was done before", "Add `rerun: true` to do it again."),
    "not_regular": FileReason("it is a link and not a file", "Copy the file itself into the folder."),
    "incomplete_file": FileReason("it was never written to its end", "Write the file again, whole."),
    "parser_bug": FileReason("reading it broke the program", "Report it, with the file if you may share it."),
    "unreadable": FileReason("it cannot be read or moved", "Give the daemon the right to read and move it."),
}

TASK_FILE_NOTICES: Mapping[str, str] = {
    "front_matter_missing": "the file has no front matter; its fields were inferred",
    "text_before_front_matter": "comments stand before the front matter and are ignored",
    "unknown_field": "a key means nothing and is ignored",
    "empty_field": "a key has no value and is ignored",
    "created_without_zone": "`created` names no time zone; the local one is assumed",
    "created_implausible": "`created` lies far from today; nothing is scheduled by it",
    "title_control_characters": "control characters were removed from the title",
    "title_shortened": "the title was cut",
    "title_twice": "the title stands in the front matter and as a heading; the front matter's is used",
    "prompt_label_missing": "there is no `**Prompt:**`; the body is the prompt",
    "prompt_from_title": "there is nothing but a title; it is the prompt",
    "text_outside_sections": "text before the first section was added to the context",
    "fence_unclosed": "a code fence or comment is never closed; everything after it is part of it",
    "target_description": "words after a target file are not part of its path",
    "empty_criterion": "a success criterion has no text and is ignored",
    "criterion_in_words": "a criterion looks like a check, but is read as words: nothing is run for it",
    "inferred_path_ignored": "a path in the text lies outside the allowed root and is not used",
    "target_missing": "a target file does not exist",
    "dependency_unknown": "it depends on an id that no task has yet; it waits until there is one",
    "job_of_schedule": "`job` has no effect beside `schedule`: the runs of a schedule belong to no job",
    "multiple_links": "the file has another name elsewhere; its content was copied",
}
