"""Describe what callers send, and turn it into what the core does: one class per change.

Imported when the first change or the document is asked for: a sidecar that nobody talks to needs none of it.
"""

from __future__ import annotations

from abc import abstractmethod
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    WithJsonSchema,
    model_validator,
)

from rollback_guard.adapters.web.problem import problems
from rollback_guard.adapters.web.refusal import Refusal
from rollback_guard.core import operations
from rollback_guard.core.operations import Operation
from rollback_guard.core.units import parse_duration

UNPRINTABLE = r"^[^\x00-\x1f\x7f]*$"
"""None of these has a place in a name, and in a log or a terminal they do harm."""

ALERTS = 1000
"""In one message; Alertmanager's `max_alerts` keeps below it."""

LABELS = 100

LABEL_CHARACTERS = 4096

EARLIEST, LATEST = 1970, 9000
"""Years in which an alert can have begun; beyond them arithmetic with time ends."""

LONGEST = timedelta(days=365)
"""What is added again and again must stay a time that there is."""

Name = Annotated[str, StringConstraints(min_length=1, max_length=300, pattern=UNPRINTABLE)]

Version = Annotated[str, StringConstraints(max_length=300, pattern=UNPRINTABLE)]

Words = Annotated[str, StringConstraints(max_length=1000, pattern=r"^[^\x00-\x08\x0b-\x1f\x7f]*$")]

Reason = Annotated[Words, StringConstraints(min_length=1)]


def _span(value: Any) -> timedelta:
    if not isinstance(value, str):
        raise ValueError("write a duration such as 30s, 10m or 1h30m")  # noqa: TRY004  only this one pydantic tells
    if not timedelta(0) < (span := parse_duration(value)) <= LONGEST:
        raise ValueError(f"write a duration above zero and of at most {LONGEST.days}d")
    return span


Span = Annotated[
    timedelta,
    BeforeValidator(_span),
    WithJsonSchema(
        {
            "type": "string",
            "description": f"a duration above zero, at most {LONGEST.days}d",
            "pattern": r"^(?=[0-9])([0-9]{1,3}d)?([0-9]{1,4}h)?([0-9]{1,5}m)?([0-9]{1,6}s)?$",
            "examples": ["10m", "1h30m"],
        }
    ),
]


class Body(BaseModel):
    """What a caller sends; a key that is not known is refused, for it may be a mistyped one."""

    model_config = ConfigDict(extra="forbid", strict=True, hide_input_in_errors=True)


class Change(Body):
    """A body that asks for one change."""

    @abstractmethod
    def operation(self, by: str) -> Operation:
        """Return it as what the core does, for somebody."""


class Pause(Change):
    """Take a guard's hands off, or those of all, for a time or until further notice."""

    guard: Name | None = Field(default=None, description="none means all guards")
    reason: Reason
    lasting: Span | None = Field(default=None, alias="for", description="none means until it is resumed")

    def operation(self, by: str) -> Operation:
        """Return it as what the core does."""
        return operations.Pause(by=by, why=self.reason, guard=self.guard, lasting=self.lasting)


class Resume(Change):
    """End a pause: of one guard, or the one that holds for all."""

    guard: Name | None = Field(default=None, description="none means the pause of all guards")
    reason: Words | None = None

    def operation(self, by: str) -> Operation:
        """Return it as what the core does."""
        return operations.Resume(by=by, why=self.reason or "", guard=self.guard)


class Veto(Change):
    """Cancel the playbook of a guard's incident: nothing further is done, people have it."""

    guard: Name
    reason: Reason

    def operation(self, by: str) -> Operation:
        """Return it as what the core does."""
        return operations.Veto(by=by, why=self.reason, guard=self.guard)


class Extend(Change):
    """Give people more time before a guard's waiting step is run, or not."""

    guard: Name
    lasting: Span = Field(alias="for")
    reason: Words | None = None

    def operation(self, by: str) -> Operation:
        """Return it as what the core does."""
        return operations.Extend(by=by, guard=self.guard, lasting=self.lasting, why=self.reason or "")


class Approve(Change):
    """Let a guard's waiting step be run at once."""

    guard: Name
    reason: Words | None = None

    def operation(self, by: str) -> Operation:
        """Return it as what the core does."""
        return operations.Approve(by=by, guard=self.guard, why=self.reason or "")


class Acknowledge(Change):
    """Take care of an incident: nobody further is called."""

    incident: Name
    reason: Words | None = None

    def operation(self, by: str) -> Operation:
        """Return it as what the core does."""
        return operations.Acknowledge(by=by, incident=self.incident, why=self.reason or "")


class Trigger(Change):
    """Run one step of a guard's playbook now, or all of them."""

    model_config = ConfigDict(
        json_schema_extra={
            "oneOf": [
                {"required": ["step"], "properties": {"step": {"type": "string"}, "all": {"const": False}}},
                {"required": ["all"], "properties": {"all": {"const": True}, "step": {"type": "null"}}},
            ]
        }
    )

    guard: Name
    step: Name | None = Field(default=None, description="the step with this action")
    all: bool = False
    reason: Reason

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        if self.all == (self.step is not None):
            raise ValueError("name one step, or say all: true")
        return self

    def operation(self, by: str) -> Operation:
        """Return it as what the core does."""
        return operations.Trigger(by=by, why=self.reason, guard=self.guard, step=self.step)


class Undo(Change):
    """Take back what an incident's steps did, newest first, as far as its actions declare how."""

    incident: Name
    reason: Reason

    def operation(self, by: str) -> Operation:
        """Return it as what the core does."""
        return operations.Undo(by=by, why=self.reason, incident=self.incident)


class StartRollout(Change):
    """Tell a guard that a change begins."""

    guard: Name
    id: Version | None = Field(default=None, description="none has one made")
    version: Version | None = None
    previous_version: Version | None = None
    window: Span | None = Field(default=None, description="none means the guard's own")

    def operation(self, by: str) -> Operation:
        """Return it as what the core does."""
        return operations.StartRollout(
            by=by,
            guard=self.guard,
            rollout=self.id or "",
            version=self.version or "",
            previous_version=self.previous_version or "",
            window=self.window,
        )


class FinishRollout(Change):
    """Tell a guard that the change is over."""

    guard: Name
    reason: Words | None = None

    def operation(self, by: str) -> Operation:
        """Return it as what the core does."""
        return operations.FinishRollout(by=by, guard=self.guard, why=self.reason or "")


def _began(value: Any) -> datetime:
    if not isinstance(value, str):
        raise ValueError("write a time such as 2026-03-01T10:01:30Z")  # noqa: TRY004  only this one pydantic tells
    try:
        at = datetime.fromisoformat(value)
    except ValueError:
        raise ValueError("this is no time; write one such as 2026-03-01T10:01:30Z") from None
    if not EARLIEST <= at.year < LATEST:
        raise ValueError(f"the year must be one from {EARLIEST} to {LATEST - 1}")
    return at


class Alert(BaseModel):
    """One alert; what else it holds is not looked at."""

    model_config = ConfigDict(extra="ignore", strict=True, hide_input_in_errors=True)

    status: Literal["firing", "resolved"]
    labels: Annotated[
        dict[
            Annotated[str, StringConstraints(min_length=1, max_length=300)],
            Annotated[str, StringConstraints(max_length=LABEL_CHARACTERS)],
        ],
        Field(max_length=LABELS),
    ]
    annotations: dict[str, str] = {}
    began: Annotated[AwareDatetime, BeforeValidator(_began)] = Field(
        alias="startsAt", description=f"with a time zone, in a year from {EARLIEST} to {LATEST - 1}"
    )


class Alerts(BaseModel):
    """Take alerts of another system as signals; the format is that of Alertmanager's webhooks, version 4."""

    model_config = ConfigDict(extra="ignore", strict=True, hide_input_in_errors=True)

    version: Literal["4"]
    alerts: Annotated[list[Alert], Field(max_length=ALERTS)]
    truncated: int = Field(default=0, ge=0, alias="truncatedAlerts")


MODELS: dict[str, type[BaseModel]] = {
    "pause": Pause,
    "resume": Resume,
    "veto": Veto,
    "extend": Extend,
    "approve": Approve,
    "acknowledge": Acknowledge,
    "trigger": Trigger,
    "undo": Undo,
    "start_rollout": StartRollout,
    "finish_rollout": FinishRollout,
    "alerts": Alerts,
}
"""By the name of what is asked for."""


def read(name: str, data: Any) -> Any:
    """Return data as the class of what is asked for.

    Raises:
        Refusal: It is not as that class says.
    """
    try:
        return MODELS[name].model_validate(data)
    except ValidationError as error:
        found = problems(error, MODELS[name])
        raise Refusal(400, "; ".join(found.words), near=found.near) from None


def described(name: str, known: dict[str, Any]) -> dict[str, Any]:
    """Return the JSON Schema of a body; the classes that it is made of are put into `known`."""
    model = MODELS[name]
    shape = model.model_json_schema(ref_template="#/components/schemas/{model}Body")
    known.update({f"{inner}Body": each for inner, each in shape.pop("$defs", {}).items()})
    known[f"{model.__name__}Body"] = shape
    return {"$ref": f"#/components/schemas/{model.__name__}Body"}
