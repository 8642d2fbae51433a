"""Checking a result file against its published schema."""

import json
from collections.abc import Sequence
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING

from orchestrator.core.events import Json

if TYPE_CHECKING:
    from jsonschema.protocols import Validator

_UNREADABLE = "it is not JSON"


@cache
def _validator() -> "Validator":
    """The compiled schema: building it costs twenty times more than one check, loading the library ten times that."""
    import jsonschema

    schema = json.loads(resources.files("orchestrator.validation").joinpath("result.schema.json").read_text("utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER)


def result_problems(result: Json) -> Sequence[str]:
    """Return what is wrong with *result*, each as `where: what`; empty when it satisfies the schema."""
    problems = []
    for error in sorted(_validator().iter_errors(result), key=lambda error: list(map(str, error.absolute_path))):
        where = ".".join(str(part) for part in error.absolute_path) or "the whole"
        problems.append(f"{where}: {error.message[:200]}")
    return problems


def file_problems(data: bytes) -> Sequence[str]:
    """Return what is wrong with the bytes of a result file; empty when nothing is."""
    try:
        result = json.loads(data)
    except (UnicodeDecodeError, ValueError, RecursionError) as error:
        return [f"{_UNREADABLE}: {str(error)[:120]}"]
    return result_problems(result)
