"""Task files as they really arrive: broken, hostile, careless. Each with what must become of it.

The rows are those of the catalogue of bad inputs, 1 to 78. Here are the ones that the bytes alone decide; those
that need a folder, a store or another task are tested with the intake. ROWS_COVERED says which are here.
"""

import dataclasses
from collections.abc import Callable, Iterable, Mapping

from orchestrator.core.task import TaskRules, TaskType

TYPES = {
    name: TaskType(name, tools=("Read",), expects_changes=changes, words=words)
    for name, changes, words in (
        ("fix", True, (r"\bfix\w*", r"\bbugs?\b")),
        ("code_review", False, (r"\breview\w*",)),
        ("analyze", False, (r"\banaly[sz]e\w*",)),
        ("summarize", False, (r"\bsummar\w*",)),
        ("code-generation", True, (r"\bcreate\b", r"\bimplement\w*")),
        ("documentation", True, (r"\bdocument\w*",)),
    )
}
ROOT = "/home/you"
BASE = "/home/you/projects"
RULES = TaskRules(types=TYPES, agents=("claude", "demo"), base_cwd=BASE, allowed_root=ROOT)


@dataclasses.dataclass(frozen=True, slots=True)
class BadInput:
    """One file. *reason* "" means it is accepted, then with at least *notices* and exactly *values* of its spec.

    *line* is that of the error or of the first notice named; 0 where it says nothing. *data* may be a factory
    for what is too large to keep.
    """

    row: int
    what: str
    data: bytes | Callable[[], bytes]
    reason: str = ""
    line: int = 0
    field: str = ""
    hint: str = ""
    notices: frozenset[str] = frozenset()
    values: Mapping[str, object] = dataclasses.field(default_factory=dict)
    inferred: frozenset[str] = frozenset()
    file_name: str = "my_task.task.md"
    strict: bool = False

    def content(self) -> bytes:
        return self.data if isinstance(self.data, bytes) else self.data()

    @property
    def name(self) -> str:
        return f"{self.row}: {self.what}"


def front(*lines: str, body: str = "\n# Title\n\n**Prompt:**\nDo it.\n", end: str = "---") -> bytes:
    """Return a file with these lines as its front matter."""
    return "\n".join(["---", *lines, f"{end}\n{body}"]).encode()


def body(text: str) -> bytes:
    """Return a file with a good front matter (six lines, so that *text* begins on line 7) and this body."""
    return front("id: a", "type: fix", "priority: high", "created: 2025-08-03T10:30:00Z", body=text)


def refused(row: int, reason: str, lines: Iterable[str], **more: object) -> list[BadInput]:
    """Return one case for each front matter line, refused on line 2."""
    settings = {"line": 2, **more}
    return [BadInput(row, line[:60], front(line), reason, **settings) for line in lines]  # type: ignore[arg-type]


def _accepted_ids(row: int, *ids: str) -> list[BadInput]:
    return [BadInput(row, f"id: {text}", front(f"id: {text}"), values={"id": text}) for text in ids]


GOOD = front("id: a", "type: fix", "priority: high")
_BOMB = "\n".join(
    ["a: &a [x,x]", *(f"{b}: &{b} [*{a},*{a},*{a}]" for a, b in zip("abcdefgh", "bcdefghi", strict=True))]
)

_BYTES = [
    BadInput(1, "no byte", b"", "empty_file"),
    BadInput(1, "only a byte order mark", b"\xef\xbb\xbf", "empty_file"),
    BadInput(2, "blanks", b"  \n\t\r\n \n", "empty_file"),
    BadInput(2, "a mark and blanks", b"\xef\xbb\xbf\n\n", "empty_file"),
    BadInput(
        3,
        "plain text",
        b"Fix the bug in the parser.\n",
        notices=frozenset({"front_matter_missing", "prompt_label_missing"}),
        values={"id": "my_task", "type": "fix", "priority": "medium", "prompt": "Fix the bug in the parser."},
        inferred=frozenset({"id", "type", "priority", "title"}),
    ),
    BadInput(
        3,
        "title and sections",
        b"# Review it\n\n**Prompt:**\nReview the parser.\n",
        notices=frozenset({"front_matter_missing"}),
        values={"id": "my_task", "type": "code_review", "title": "Review it", "prompt": "Review the parser."},
        inferred=frozenset({"id", "type", "priority"}),
    ),
    BadInput(4, "never closed", b"---\nid: a\ntype: fix\n\n# T\n\n**Prompt:**\nx\n", "front_matter_unterminated", 1),
    BadInput(4, "only the first line", b"---", "front_matter_unterminated", 1),
    BadInput(4, "opened on line 2", b"\n--- \nid: a\n", "front_matter_unterminated", 2),
    BadInput(3, "no rule", front("if_unanswered: perhaps"), "if_unanswered_invalid", 2, "if_unanswered"),
    BadInput(3, "a default of nothing", front("if_unanswered: 'default: '"), "if_unanswered_invalid", 2),
    BadInput(3, "a default without quotes", front("if_unanswered: default: a"), "yaml_syntax", 2, hint="quotes"),
    BadInput(3, "no time", front("answer_within: soon"), "answer_within_invalid", 2, "answer_within", "2h"),
    BadInput(3, "ten years", front("answer_within: 3650d"), "answer_within_invalid", 2),
    BadInput(3, "no id to depend on", front("depends_on: a b"), "depends_on_invalid", 2, "depends_on"),
    BadInput(3, "a map to depend on", front("depends_on: {a: b}"), "wrong_shape", 2, "depends_on"),
    BadInput(3, "a list in what it depends on", front("depends_on: [[a]]"), "depends_on_invalid", 2, "depends_on"),
    BadInput(3, "itself", front("id: a\ndepends_on: [b, A]"), "dependency_cycle", 3, "depends_on"),
    BadInput(3, "no policy", front("on_dependency: perhaps"), "on_dependency_invalid", 2, "on_dependency", "skip"),
    BadInput(3, "a long job", front(f"job: {'x' * 81}"), "job_invalid", 2, "job"),
    BadInput(3, "no branch", front("branch: a..b"), "branch_invalid", 2, "branch"),
    BadInput(3, "too deep a tree", front("max_depth: 17"), "max_depth_out_of_range", 2, "max_depth"),
    BadInput(3, "too broad a tree", front("max_children: 101"), "max_children_out_of_range", 2, "max_children"),
    BadInput(3, "a tree for nothing", front("tree_budget_usd: 0"), "tree_budget_out_of_range", 2, "tree_budget_usd"),
    BadInput(3, "nobody approves that", front("approve: all"), "approve_invalid", 2, "approve"),
    BadInput(5, "no body", front("id: a", body=""), "prompt_missing", field="Prompt"),
    BadInput(5, "blank body", front("id: a", body="\n\n  \n"), "prompt_missing", field="Prompt"),
    BadInput(5, "empty prompt section", body("# T\n\n**Prompt:**\n\n**Context:**\nx\n"), "prompt_missing", 9, "Prompt"),
    BadInput(
        6,
        "body without a label",
        body("# T\n\nDo this.\n\n- and that\n"),
        notices=frozenset({"prompt_label_missing"}),
        values={"title": "T", "prompt": "Do this.\n\n- and that"},
    ),
    BadInput(
        6,
        "nothing but a title",
        body("# Do this\n"),
        notices=frozenset({"prompt_from_title"}),
        values={"title": "Do this", "prompt": "Do this"},
    ),
    BadInput(7, "two prompts", body("**Prompt:**\na\n\n**Prompt:**\nb\n"), "duplicate_section", 10, "Prompt"),
    BadInput(7, "label and heading", body("**Context:**\na\n## context\nb\n"), "duplicate_section", 9, "Context"),
    BadInput(8, "byte order mark", b"\xef\xbb\xbf" + GOOD, values={"id": "a", "type": "fix", "priority": "high"}),
    BadInput(
        9, "UTF-16 little endian", b"\xff\xfe" + GOOD.decode().encode("utf-16-le"), "encoding_utf16", hint="UTF-8"
    ),
    BadInput(9, "UTF-16 big endian", b"\xfe\xff" + GOOD.decode().encode("utf-16-be"), "encoding_utf16", hint="UTF-8"),
    BadInput(9, "UTF-16 without a mark", GOOD.decode().encode("utf-16-le"), "encoding_utf16"),
    BadInput(9, "UTF-32", GOOD.decode().encode("utf-32"), "encoding_utf16"),
    BadInput(10, "bad byte in the front matter", b"---\nid: a\ntitle: \xff\n---\n\nx\n", "encoding_invalid", 3),
    BadInput(11, "bad byte in the body", b"---\nid: a\n---\n\nx\r\ny\rz \xc3(\n", "encoding_invalid", 7),
    BadInput(11, "cut in a character", GOOD + "é".encode()[:1], "encoding_invalid", 11),
    BadInput(11, "a surrogate", GOOD + b"\xed\xa0\x80", "encoding_invalid", 11),
    BadInput(12, "Latin-1", b"---\nid: a\n---\n\ncaf\xe9\n", "encoding_invalid", 5, hint="UTF-8"),
    BadInput(13, "NUL in the body", b"---\nid: a\n---\n\nx\n\0\n", "control_character", 6),
    BadInput(13, "NUL in the front matter", b"---\nid: a\0\n---\n\nx\n", "control_character", 2),
    BadInput(13, "NUL alone", b"\0", "control_character", 1),
    *refused(14, "id_invalid", [r'id: "a\0b"', r'id: "a\x00"'], field="id"),
    BadInput(14, "escaped NUL in the title", front(r'title: "a\0b"'), "control_character", 2, "title"),
    BadInput(
        15,
        "colours in the title",
        body("# \x1b[31mRed\x1b[0m\x07 alert\n\n**Prompt:**\nSay \x1b[31mred\x1b[0m.\n"),
        notices=frozenset({"title_control_characters"}),
        values={"title": "Red alert", "prompt": "Say \x1b[31mred\x1b[0m."},
        line=7,
    ),
    BadInput(
        15,
        "a window title in the title key",
        front(r'title: "\e]0;owned\aReal title"'),
        notices=frozenset({"title_control_characters"}),
        values={"title": "Real title"},
        line=2,
    ),
    BadInput(16, "CRLF", GOOD.replace(b"\n", b"\r\n"), values={"id": "a", "prompt": "Do it.", "title": "Title"}),
    BadInput(16, "lone CR", GOOD.replace(b"\n", b"\r"), values={"id": "a", "prompt": "Do it.", "title": "Title"}),
    BadInput(16, "all three counted", b"---\r\nid: a\rtype: fix\npriority: none\r\n---\n", "priority_invalid", 4),
    BadInput(
        17, "blanks behind the marks", b"---  \t\nid: a\n--- \t\n\nDo it.\n", values={"id": "a", "prompt": "Do it."}
    ),
    BadInput(18, "three blank lines first", b"\n\n \n" + GOOD, values={"id": "a"}),
    BadInput(
        18,
        "a comment first",
        b"# made by a tool\n<!-- really -->\n" + GOOD,
        notices=frozenset({"text_before_front_matter"}),
        values={"id": "a", "title": "Title"},
    ),
    BadInput(18, "four blank lines first", b"\n\n\n\n" + GOOD, "front_matter_misplaced", 5),
    BadInput(18, "many comments first", b"# a\n" * 9 + GOOD, "front_matter_misplaced", 10),
    BadInput(
        18,
        "a heading with a rule below is no front matter",
        b"# Fix it\n\n---\n\nFix the bug.\n\n---\n",
        values={"title": "Fix it", "prompt": "---\n\nFix the bug.\n\n---"},
    ),
    BadInput(19, "ended by dots", front("id: a", end="..."), values={"id": "a", "prompt": "Do it."}),
    BadInput(
        20,
        "marks in a fence",
        body("**Prompt:**\n```yaml\n---\nid: b\n---\n```\n"),
        values={"id": "a", "prompt": "```yaml\n---\nid: b\n---\n```"},
    ),
    BadInput(
        20,
        "a rule in the body",
        body("Do it.\n\n---\n\nThen that.\n"),
        values={"prompt": "Do it.\n\n---\n\nThen that."},
    ),
]

_IDS = [
    BadInput(21, "no id", front("type: fix"), values={"id": "my_task"}, inferred=frozenset({"id", "priority"})),
    BadInput(
        21, "no id, spaced name", front("type: fix"), values={"id": "Fix-the-bug"}, file_name="Fix the bug!.task.md"
    ),
    BadInput(21, "no id, device name", front("type: fix"), values={"id": "task-CON"}, file_name="CON.Task.MD"),
    *refused(22, "id_missing", ["id:", "id: ~", "id: null", "id: ''", 'id: "  "', "id: NULL"], field="id"),
    BadInput(22, "quoted null is a word", front("id: 'null'"), values={"id": "null"}),
    *_accepted_ids(23, "007", "0123"),
    *_accepted_ids(24, "no", "on", "yes", "True"),
    *refused(25, "id_invalid", ["id: 12:30:45"], field="id"),
    *_accepted_ids(26, "2025-01-01"),
    *_accepted_ids(27, "1e3", "0x1F", "1_000"),
    *refused(28, "id_too_long", ["id: " + "9" * 5000], field="id"),
    *refused(29, "id_invalid", ["id: ../../etc/cron.d/x"], field="id"),
    *refused(30, "id_invalid", ["id: /etc/passwd", "id: //host/share"], field="id"),
    *refused(
        31,
        "id_invalid",
        ["id: a/b", r"id: a\b", "id: ..", "id: .", "id: .hidden", "id: -rf", "id: ~root", "id: $(id)", "id: a b"],
        field="id",
    ),
    BadInput(32, "a block ends with a line end", front("id: |", "  task_1"), "id_invalid", 2, "id"),
    BadInput(32, "quoted line end", front(r'id: "task_1\n"'), "id_invalid", 2, "id"),
    *refused(33, "id_too_long", ["id: " + "a" * 300, "id: " + "a" * 65], field="id"),
    *refused(34, "id_reserved", ["id: CON", "id: nul.txt", "id: aux", "id: Com1", "id: lpt9.a.b"], field="id"),
    *refused(34, "id_invalid", ["id: task.", "id: 'task '"], field="id"),
    *refused(
        36,
        "id_invalid",
        ["id: зaдaчa", "id: a\u202eb", "id: 🚀", "id: e\u0301", "id: ａ", "id: １", "id: a\u200bb"],
        field="id",
        hint="title",
    ),
    BadInput(36, "any letters in a title", body("# Задача 🚀 \u202ex\n\nDo.\n"), values={"title": "Задача 🚀 \u202ex"}),
]

_FIELDS = [
    BadInput(40, "id twice", front("id: a", "id: b"), "duplicate_key", 3, "id"),
    BadInput(40, "one key, two spellings", front("max-turns: 1", "max_turns: 2"), "duplicate_key", 3, "max_turns"),
    BadInput(40, "one key, two names", front("timeout: 1", "timeout_sec: 2"), "duplicate_key", 3, "timeout_sec"),
    BadInput(40, "twice inside a map", front("x-a: {b: 1, b: 2}"), "duplicate_key", 2, "b"),
    BadInput(
        41,
        "misspelt key",
        front("id: a", "prioritty: high"),
        notices=frozenset({"unknown_field"}),
        values={"priority": "medium"},
        line=3,
    ),
    BadInput(
        41, "misspelt key, strict", front("id: a", "prioritty: high"), "unknown_field", 3, hint="priority", strict=True
    ),
    BadInput(41, "free keys, strict", front("id: a", "x-mine: {a: [b]}", "X-too: c"), values={"id": "a"}, strict=True),
    *refused(42, "type_invalid", ["type: delete_all", "type:", "type: fixx"], field="type"),
    BadInput(42, "dash for underscore", front("type: Code-Review"), values={"type": "code_review"}),
    *refused(43, "type_placeholder", ["type: fix|code_review|analyze|summarize"], field="type"),
    *refused(43, "priority_placeholder", ["priority: high|medium|low"], field="priority"),
    *refused(
        44, "priority_invalid", ["priority: urgent", "priority: 1", "priority:", "priority: hi"], field="priority"
    ),
    *refused(
        45,
        "created_invalid",
        [
            "created: 2025-13-45",
            "created: 2025-02-30T10:00:00Z",
            "created: 2025-02-03T10:00:00+25:00",
            "created: 2025-02-03T25:00:00Z",
            "created: 2025-02-03T10:00:00+02:60",
            "created: yesterday",
            "created: 20250203",
            "created: ２０２５-02-03",
        ],
        field="created",
    ),
    BadInput(46, "no zone", front("created: 2025-08-03T10:30:00"), notices=frozenset({"created_without_zone"}), line=2),
    BadInput(46, "only a day", front("created: 2025-08-03"), notices=frozenset({"created_without_zone"}), line=2),
    *(
        BadInput(
            47, f"in {year}", front(f"created: {year}-01-01T00:00:00Z"), notices=frozenset({"created_implausible"})
        )
        for year in ("2099", "1970", "0001", "9999")
    ),
    *refused(
        48,
        "timeout_out_of_range",
        [
            *(
                f"timeout: {value}"
                for value in ("-1", "0", "1e9", ".inf", ".nan", "86401", "5m", "1.5", "'٣'", "9" * 4000)
            ),
            "timeout_sec: 0",
            "timeout-sec: '-1'",
        ],
        field="timeout_sec",
    ),
    *refused(48, "budget_out_of_range", ["budget_usd: .nan", "budget_usd: 0", "budget_usd: 1e300", "budget_usd: -1"]),
    *refused(48, "retries_out_of_range", ["retries: 21", "retries: -1"], field="retries"),
    *refused(48, "max_turns_out_of_range", ["max_turns: 10001", "max_turns: -1"], field="max_turns"),
    BadInput(48, "at the limits", front("timeout: 86400", "retries: 20", "max_turns: 0"), values={"timeout_s": 86400}),
]

_YAML = [
    *refused(49, "yaml_syntax", ["title: fix: the bug", "title: [WIP] fix it"], hint="quote", field="title"),
    *refused(50, "yaml_syntax", ["\tid: a"], hint="tab"),
    BadInput(50, "tab before an item", front("id: a", "tags:", "\t- b"), "yaml_syntax", 4, hint="tab"),
    *refused(51, "yaml_syntax", [r'cwd: "C:\Users\me"', r'cwd: "C:\work"'], hint="single quotes", field="cwd"),
    *refused(52, "yaml_syntax", ["glob: *.py", "x: @foo", "x: %b", "x: `y`"], hint="quotes"),
    BadInput(52, "a quote never closed", front("id: a", "title: 'it", "type: fix"), "yaml_syntax", 3, hint="Close"),
    BadInput(52, "a line without a colon", front("id: a", "type fix"), "yaml_syntax", 3, hint="key: value"),
    *refused(53, "front_matter_not_a_mapping", ["- id: a", "just a text", "", "# only a comment", "{}", "[]"]),
    BadInput(53, "nothing at all", b"---\n---\n\nDo it.\n", "front_matter_not_a_mapping", 2),
    *refused(54, "non_string_key", ["? [a]", "? {a: b}", "[a]: b", "{a: b}: c"]),
    *refused(55, "anchors_forbidden", [_BOMB, "id: &x a", "x-a: &b {c: d}"]),
    BadInput(55, "an alias", front("id: a", "x-b: *id"), "anchors_forbidden", 3),
    *refused(56, "anchors_forbidden", ["a: &a [*a]"]),
    *refused(57, "merge_key_forbidden", ["<<: {id: a}", "<< : x"]),
    *refused(
        58,
        "tags_forbidden",
        [
            "id: !!python/object/apply:os.system [id]",
            "id: !!binary aGk=",
            "id: !!set {a}",
            'id: !!int ""',
            "id: !foo a",
            "id: ! a",
            "id: !a!b c",
            "!!str id: a",
            "id: !<tag:yaml.org,2002:str> a",
        ],
    ),
    BadInput(59, "a second block of keys", b"---\nid: a\n---\nid: b\ntype: fix\n---\n\nx\n", "multiple_documents", 6),
    BadInput(59, "after dots", b"---\nid: a\n...\n---\nid: b\n---\n\nx\n", "multiple_documents", 6),
    BadInput(59, "with content on the mark", front("id: a", "--- {id: b}"), "multiple_documents", 3),
    *refused(59, "directives_forbidden", ["%YAML 2.0", "%FOO", "%YAML 1.1\n---\nid: a", "%TAG ! tag:x,2000:"]),
    BadInput(59, "a directive first", b"%YAML 1.1\n---\nid: a\n---\n\nx\n", "directives_forbidden", 1),
    BadInput(60, "30,000 open brackets", lambda: front("id: " + "[" * 30_000), "front_matter_too_large", 1),
    BadInput(60, "60,000 in the middle of a list", lambda: front("- " * 30_000), "front_matter_too_large", 1),
    BadInput(60, "15,000 open brackets", lambda: front("id: " + "[" * 15_000), "too_deep", 2),
    BadInput(60, "5,000 maps", lambda: front("id: " + "{a: " * 4_000), "too_deep", 2),
    BadInput(60, "7,000 lists in lists", lambda: front("id:", " " + "- " * 7_000), "too_deep", 3),
    BadInput(61, "200 KB in one list", lambda: front("tags: [" + "a, " * 66_000 + "a]"), "front_matter_too_large", 1),
    BadInput(61, "1,000 entries", lambda: front("tags: [" + "a, " * 1000 + "a]"), "too_many_nodes", 2),
    BadInput(61, "1,000 keys", lambda: front(*(f"x-{n}: a" for n in range(1000))), "too_many_nodes"),
    *refused(71, "field_not_allowed", ["permission: bypass", "env: {A: b}", "command: rm", "cwd: /", "cwd: /etc"]),
    *refused(71, "field_not_allowed", ["permission-mode: bypass", "mcp_servers: [a]", "hooks: {}", "settings: x"]),
    *refused(71, "field_not_allowed", ["allowed_tools: [Bash]", "Permissions: all", "mcpServers: {}", "tools: Bash"]),
    *refused(
        71,
        "field_not_allowed",
        ["cwd: ../../..", "cwd: ~/x", "cwd: $HOME", r"cwd: C:\x", r"cwd: \\host\share"],
        field="cwd",
    ),
    BadInput(71, "a folder inside", front("cwd: app"), values={"cwd": f"{BASE}/app"}),
    *refused(71, "wrong_shape", ["id: [a]", "title: {a: b}", "cwd: [a]"]),
    *refused(71, "agent_unknown", ["agent: gpt"], field="agent"),
    *refused(71, "model_invalid", ["model: --dangerously-skip-permissions", "model: a b"], field="model"),
]

_BODIES = [
    BadInput(62, "20 MB", lambda: GOOD + b"x\n" * 10_000_000, "file_too_large"),
    BadInput(62, "one byte too many", lambda: GOOD + b"x\n" * 524_288, "file_too_large"),
    BadInput(62, "prompt too large", lambda: GOOD + b"x\n" * 270_000, "prompt_too_large", 9, "Prompt"),
    BadInput(63, "1 MB in one line", lambda: GOOD + b"x" * 1_000_000, "line_too_long", 11),
    BadInput(63, "long in bytes, not in characters", lambda: GOOD + "é".encode() * 40_000, "line_too_long", 11),
    BadInput(64, "200 KB prompt", lambda: GOOD + (b"x" * 99 + b"\n") * 2_000, values={"id": "a"}),
    *(
        BadInput(65, f"prompt {text}", body(f"**Prompt:**\n{text}\n"), values={"prompt": text})
        for text in ("/init", "--help", "!rm -rf x", "@secrets.txt", "-p x")
    ),
    BadInput(66, "a run of blanks", lambda: body("**Prompt:**\na" + " " * 60_000 + "b\n"), values={"id": "a"}),
    BadInput(66, "a run of dashes", lambda: body("- " * 30_000 + "x\n" + "-" * 60_000 + "\n"), values={"id": "a"}),
    BadInput(66, "a run of stars", lambda: body(("*" * 60_000 + "\n") * 8), values={"id": "a"}),
    BadInput(66, "a run of ticks", lambda: body("`" * 60_000 + "x`\n"), values={"id": "a"}),
    BadInput(
        66,
        "blanks in a target",
        lambda: body("**Target Files:**\n- a" + " " * 4_000 + "b\n**Prompt:**\nx\n"),
        values={"id": "a"},
    ),
    BadInput(
        67,
        "10,000 files",
        lambda: body("**Target Files:**\n" + "- a.py\n" * 10_000 + "**Prompt:**\nx"),
        "too_many_targets",
        field="Target Files",
    ),
    BadInput(
        67,
        "201 files in a line",
        lambda: body("**Target Files:** " + "a.py, " * 201 + "\n**Prompt:**\nx"),
        "too_many_targets",
        7,
    ),
    BadInput(
        67,
        "10,000 criteria",
        lambda: body("**Success Criteria:**\n" + "- [ ] a\n" * 10_000 + "**Prompt:**\nx"),
        "too_many_criteria",
    ),
    *(
        BadInput(
            68,
            path,
            body(f"**Target Files:**\n- a.py\n- {path}\n\n**Prompt:**\nx\n"),
            "target_outside_root",
            9,
            "Target Files[2]",
        )
        for path in (
            "../../.ssh/id_rsa",
            "/etc/shadow",
            "~/.aws",
            r"\\host\share",
            "\\??\\C:",
            r"C:\Windows\system32",
            "C:secret",
            "a/../../../.ssh/id_rsa",
            "/home/you/../other/x",
            "/home/yours/x",
            r"..\..\..\x",
            "$HOME/.ssh/id_rsa",
            "%APPDATA%/x",
            "file:///etc/passwd",
            "`/etc/shadow`",
            "[x](/etc/shadow)",
            "//etc/shadow",
        )
    ),
    BadInput(
        68,
        "inside after all",
        body("**Target Files:**\n- b/../a.py\n**Prompt:**\nx"),
        values={"target_files": ("b/../a.py",)},
    ),
]

CASES: tuple[BadInput, ...] = (*_BYTES, *_IDS, *_FIELDS, *_YAML, *_BODIES)
ROWS_COVERED = frozenset(case.row for case in CASES)
