"""What to do about a YAML mistake, in words for somebody who only wanted to write a value."""

import re

_VALUE = re.compile(r"[^:#]*?(?::[ \t]+|-[ \t]+)(?P<value>.*)\Z")
_RESERVED = "*&!@%`|>"


def yaml_hint(line: str, problem: str, context: str) -> str:
    """Return what to change in *line*, of which YAML says *problem* while doing *context*."""
    if "\t" in line[: len(line) - len(line.lstrip())]:
        return "Replace the tab at the beginning of the line by spaces."
    found = _VALUE.match(line)
    value = found.group("value").strip() if found else line.strip()
    if value.startswith('"') and "\\" in value:
        return "A backslash has a meaning inside double quotes: put the value in single quotes."
    if value[:1] in ("'", '"') and ("end of stream" in problem or value.count(value[0]) % 2):
        return f"Close the quotation mark: write {value[0]} at the end of the value too."
    if value[:1] in _RESERVED and value:
        return f"A value may not begin with {value[0]}: put it in single quotes."
    if "mapping values" in problem:
        return "A colon followed by a space ends a key: put the value in single quotes."
    if value[:1] in ("[", "{") and value:
        return f"A value that begins with {value[0]} is a list or a map: close it, or put the value in single quotes."
    if "expected ':'" in problem or "simple key" in context:
        return "Write `key: value`, with a space after the colon; text belongs below the second `---`."
    if line[:1] in (" ", "-"):
        return "Begin the key in the first column, in line with the others."
    return "Put the value in single quotes."
