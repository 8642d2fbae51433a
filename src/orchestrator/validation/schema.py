"""Checking a result file or a batch report against its published schema."""

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
def _validator(name: str) -> "Validator":
    """The compiled schema: building it costs twenty times more than one check, loading the library ten times that."""
    import jsonschema

    schema = json.loads(resources.files("orchestrator.validation").joinpath(name).read_text("utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER)


def result_problems(result: Json) -> Sequence[str]:
    """Return what is wrong with *result*, each as `where: what`; empty when it satisfies the schema."""
    return _problems("result.schema.json", result)


def batch_problems(report: Json) -> Sequence[str]:
    """Return what is wrong with a batch report, as `result_problems` does."""
    return _problems("batch.schema.json", report)


def analytics_problems(told: Json) -> Sequence[str]:
    """Return what is wrong with the figures on a job or a period, as `result_problems` does."""
    return _problems("analytics.schema.json", told)


def forecast_problems(told: Json) -> Sequence[str]:
    """Return what is wrong with a forecast, as `result_problems` does."""
    return _problems("forecast.schema.json", told)


def lint_problems(report: Json) -> Sequence[str]:
    """Return what is wrong with what a lint prints as JSON, as `result_problems` does."""
    return _problems("lint.schema.json", report)


def requirements_problems(read: Json) -> Sequence[str]:
    """Return what is wrong with what `parse` prints as JSON, as `result_problems` does."""
    return _problems("requirements.schema.json", read)


def _problems(schema: str, document: Json) -> Sequence[str]:
    problems = []
    for error in sorted(_validator(schema).iter_errors(document), key=lambda one: list(map(str, one.absolute_path))):
        where = ".".join(str(part) for part in error.absolute_path) or "the whole"
        problems.append(f"{where}: {error.message[:200]}")
    return problems


def file_problems(data: bytes) -> Sequence[str]:
    """Return what is wrong with the bytes of a result, a batch report or the figures on a job; empty for nothing."""
    try:
        result = json.loads(data)
    except (UnicodeDecodeError, ValueError, RecursionError) as error:
        return [f"{_UNREADABLE}: {str(error)[:120]}"]
    kind = result.get("kind") if isinstance(result, dict) else None
    known = {"batch_report": batch_problems, "analytics": analytics_problems}
    return known.get(str(kind), result_problems)(result)
