"""Describe the channels in guard.toml: the ways in which people are told."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Discriminator, Field, JsonValue, Tag

from rollback_guard.config.fields import (
    Between,
    Flaw,
    Name,
    OneOf,
    PositiveDuration,
    Section,
    refuse,
    url_problem,
)
from rollback_guard.config.messages import Message
from rollback_guard.config.problems import did_you_mean, quoted
from rollback_guard.config.tables import Headers
from rollback_guard.core.notice import NoticeKind
from rollback_guard.secret import REFERENCE

APPRISE, WEBHOOK = "apprise", "webhook"

EITHER: dict[str, JsonValue] = {"oneOf": [{"required": ["url"]}, {"required": ["url_file"]}]}
"""What an editor is told of a section with two ways to give an address."""

_SCHEME = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*://\S")


LONGEST_URL = 4096
"""Characters; what is longer is no address, and looking for secrets in it would take long."""


def _bounded(value: str) -> str:
    if len(value) > LONGEST_URL:
        raise refuse(Flaw("bad-url", f"a URL of more than {LONGEST_URL} characters", "Shorten it."))
    return value


def _apprise_url(value: str) -> str:
    if not REFERENCE.match(value) and not _SCHEME.match(value):
        hint = "Write what Apprise documents for the product, such as `slack://${file:/run/secrets/slack}`."
        raise refuse(Flaw("bad-url", "this is no Apprise URL", hint))
    return value


def _webhook_url(value: str) -> str:
    # What a reference stands for is not known here; a whole address behind one is taken as it is.
    if not REFERENCE.match(value) and (flaw := url_problem(REFERENCE.sub("x", value))):
        raise refuse(flaw)
    return value


ApprisePlace = Annotated[Name, AfterValidator(_bounded), AfterValidator(_apprise_url)]
SecretUrl = Annotated[Name, AfterValidator(_bounded), AfterValidator(_webhook_url)]


def _known_type(value: object) -> object:
    if isinstance(value, str) and value not in (APPRISE, WEBHOOK):
        message = f"expected `{APPRISE}` or `{WEBHOOK}`, found {quoted(value)}"
        hint = f"Products such as Slack are reached by `{APPRISE}`, which is what a channel without `type` is."
        raise refuse(Flaw("bad-value", message, did_you_mean(value, (APPRISE, WEBHOOK)) or hint))
    return value


def _some(value: list[str]) -> list[str]:
    if not value:
        hint = "Leave `kinds` out for all of them, or take the channel out where it is named."
        raise refuse(Flaw("bad-value", "`kinds` names no kind, so this channel would hear nothing", hint))
    return value


Kinds = Annotated[
    Annotated[list[Annotated[str, OneOf(*(kind.value for kind in NoticeKind))]], AfterValidator(_some)] | None,
    Field(
        default=None,
        description="The kinds of notices that it hears of. Default: all.",
        json_schema_extra={"minItems": 1},
    ),
]
Timeout = Annotated[PositiveDuration, Field(default=timedelta(seconds=20), description="Bound of one attempt.")]
Title = Annotated[Message | None, Field(default=None, description="Template of the title, in place of the default.")]
Body = Annotated[Message | None, Field(default=None, description="Template of the text, in place of the default.")]
GiveUpAfter = Annotated[
    PositiveDuration,
    Field(default=timedelta(hours=24), description="How long a message is tried that cannot be delivered."),
]
MaxPerHour = Annotated[
    int,
    Between(1, 10_000),
    Field(default=60, description="More messages than this within an hour are held back and told as one."),
]


class AppriseChannel(Section):
    """A product that Apprise knows: Slack, PagerDuty, Telegram, e-mail and a hundred more."""

    model_config = ConfigDict(json_schema_extra=EITHER)

    type: Annotated[str, OneOf(APPRISE), BeforeValidator(_known_type)] = Field(
        default=APPRISE, description="Selects this kind of channel."
    )
    url: ApprisePlace | None = Field(
        default=None, description="Apprise URL; its secrets as `${file:…}` or `${env:…}`. Either this or `url_file`."
    )
    url_file: Name | None = Field(default=None, description="File that holds the whole Apprise URL.")
    kinds: Kinds
    timeout: Timeout
    title: Title
    body: Body
    give_up_after: GiveUpAfter
    max_per_hour: MaxPerHour


class WebhookChannel(Section):
    """An HTTP request with the message as JSON, signed where there is a secret."""

    type: Annotated[str, OneOf(WEBHOOK)] = Field(description="Selects this kind of channel.")
    url: SecretUrl = Field(description="Where to: an http or https URL; may hold `${file:…}` and `${env:…}`.")
    secret_file: Name | None = Field(default=None, description="File that holds the secret that signs the request.")
    headers: Headers = Field(
        default={}, description="Sent with the request; values may hold `${file:…}` and `${env:…}`."
    )
    ca_file: Name | None = Field(default=None, description="Certificate authorities to trust instead of the system's.")
    kinds: Kinds
    timeout: Timeout
    title: Title
    body: Body
    give_up_after: GiveUpAfter
    max_per_hour: MaxPerHour


def _kind(value: Any) -> str:
    given = value.get("type") if isinstance(value, dict) else None
    return WEBHOOK if given == WEBHOOK else APPRISE


Channel = Annotated[
    Annotated[AppriseChannel, Tag(APPRISE)] | Annotated[WebhookChannel, Tag(WEBHOOK)], Discriminator(_kind)
]
