"""Who is told what: the list of settings `notify`. Addresses and secrets may stand in variables or files instead."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from orchestrator.core.notice import NoticeKind

USUAL = (NoticeKind.NEEDS_YOU, NoticeKind.FAILED, NoticeKind.BATCH_FINISHED)
Variable = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
File = Annotated[str, Field(pattern=r"^(/|[A-Za-z]:[\\/])[^\x00-\x1f]*$")]


class NotifySettings(BaseModel):
    """One place that is told. *name* is how it is called in the log and by `notify test`, and what its messages are
    remembered by; left out, it is *to*. *on*: the kinds of notices. The url stands in *url*, in the variable *url_env*
    or in the file *url_file*; the secret that signs webhooks in *secret_env* or *secret_file*, never here."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    to: Literal["telegram", "apprise", "webhook"]
    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,31}$")] = ""
    on: Annotated[tuple[NoticeKind, ...], Field(min_length=1)] = USUAL
    url: SecretStr | None = None
    url_env: Variable | None = None
    url_file: File | None = None
    secret_env: Variable | None = None
    secret_file: File | None = None

    @property
    def called(self) -> str:
        return self.name or self.to

    @field_validator("url")
    @classmethod
    def _not_empty(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not value.get_secret_value().strip():
            raise ValueError("a url")
        return value

    @model_validator(mode="after")
    def _complete(self) -> "NotifySettings":
        urls = [one for one in (self.url, self.url_env, self.url_file) if one is not None]
        secrets = [one for one in (self.secret_env, self.secret_file) if one is not None]
        if self.to == "telegram" and (urls or secrets):
            raise ValueError("to: telegram without url and secret; token and chat are the settings telegram.*")
        if self.to != "telegram" and len(urls) != 1:
            raise ValueError(f"to: {self.to} with one of url, url_env and url_file")
        if self.to == "webhook" and len(secrets) != 1:
            raise ValueError("to: webhook with one of secret_env and secret_file")
        if self.to != "webhook" and secrets:
            raise ValueError(f"to: {self.to} without a secret; only webhooks are signed")
        return self


def words(one: Mapping[str, Any]) -> str:
    """Return a place, dumped, for people: without its address."""
    return f"{one['name'] or one['to']} ({one['to']}: {' '.join(one['on'])})"


def names_are_unique(value: tuple[NotifySettings, ...]) -> tuple[NotifySettings, ...]:
    """Let no two places have the same name: what was told to one would count for the other."""
    names = [one.called for one in value]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"a name for each place; {', '.join(twice)} stands there twice")
    return value
