"""A local model that takes requirements apart. Asked once, for seconds only; where it does not answer the rules do."""

from collections.abc import Callable

from orchestrator.bridges.ollama import OllamaConfig, OllamaError, ask
from orchestrator.core.requirements import Requirements, read_requirements
from orchestrator.core.requirements_model import (
    requirements_in,
    requirements_prompt,
    requirements_schema,
    without_model,
)
from orchestrator.core.task import TaskRules

ASKED_S = 60.0  # a person waits for it


async def requirements(
    config: OllamaConfig | None, text: str, context: str, rules: TaskRules, redact: Callable[[str], str]
) -> Requirements:
    """Return what *text* asks for, as the model of *config* reads it, by rules where there is none or it does not
    answer as it was asked to: then the result says why. Never raises for what a model does or lacks."""
    by_rules = read_requirements(text, rules, context=context)
    if config is None:
        return by_rules
    prompt = requirements_prompt(text, context, rules, redact)
    try:
        said = await ask(config, prompt, requirements_schema(rules), timeout_s=ASKED_S)
    except OllamaError as error:
        return without_model(by_rules, str(error))
    read = requirements_in(said.text, said.model, text, rules)
    if read is None:
        return without_model(by_rules, f"the model {said.model} answered with something else than it was asked for")
    return read
