"""Small types of actions, so that these tests need no adapter."""

from __future__ import annotations

from typing import Literal

import pytest
from pydantic import BaseModel, ConfigDict, field_validator


class Http(BaseModel):
    model_config = ConfigDict(extra="forbid")

    type: Literal["http"]
    url: str
    method: str = "POST"
    headers: dict[str, str] = {}
    json_: dict[str, object] = {}
    ca_file: str | None = None
    idempotent: bool = False
    undo: str | None = None


class Exec(BaseModel):
    model_config = ConfigDict(extra="forbid")

    type: Literal["exec"]
    command: list[str]
    retries: int = 0
    undo: str | None = None
    env: dict[str, str] = {}

    @field_validator("command")
    @classmethod
    def _absolute(cls, command):
        if command and command[0].startswith("~"):
            raise ValueError("no shell expands this: write the whole path")
        return command


@pytest.fixture(scope="session")
def action_types() -> dict[str, type[BaseModel]]:
    return {"http": Http, "exec": Exec}
