"""Read the token file: TOML with one table for each token and each signer."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from typing import Annotated, Literal, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from rollback_guard.adapters.web.problem import problems
from rollback_guard.adapters.web.tokens import Keys, Scope, Signer, Token, TokenFileError, digest_of
from rollback_guard.secret import remember

SHORTEST = 20
"""Characters; of the 64 that tokens are usually made of, 22 hold 128 bits."""

Name = Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f]+$")]


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, hide_input_in_errors=True)

    name: Name


class TokenEntry(_Entry):
    """`[[token]]`."""

    scopes: Annotated[list[Literal["operate", "act", "alert", "admin"]], Field(min_length=1)]
    sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-fA-F]{64}$")] | None = None
    token: Annotated[str, StringConstraints(min_length=SHORTEST, pattern=r"^[!-~]+$")] | None = Field(
        default=None, repr=False
    )
    expires: AwareDatetime | None = None

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        if (self.sha256 is None) == (self.token is None):
            raise ValueError("give either sha256 or token")
        return self

    @property
    def digest(self) -> bytes:
        """What is stored of the token."""
        return bytes.fromhex(self.sha256) if self.sha256 is not None else digest_of((self.token or "").encode())


class SignatureEntry(_Entry):
    """`[[signature]]`."""

    secret: Annotated[str, StringConstraints(min_length=SHORTEST)] = Field(repr=False)


class Document(BaseModel):
    """The whole file."""

    model_config = ConfigDict(extra="forbid", strict=True, hide_input_in_errors=True)

    token: Annotated[list[TokenEntry], Field(max_length=200)] = []
    signature: Annotated[list[SignatureEntry], Field(max_length=20)] = []


def parse(content: bytes) -> Keys:
    """Return what a token file says.

    Raises:
        TokenFileError: It is no token file; the words say why.
    """
    try:
        document = Document.model_validate(tomllib.loads(content.decode()))
    except ValidationError as error:
        raise TokenFileError("; ".join(problems(error, Document).words)) from None  # the error holds the tokens
    except UnicodeDecodeError:
        raise TokenFileError("it is no UTF-8 text") from None
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise TokenFileError(f"it is no TOML: {error}") from None
    _remember(document)
    tokens = tuple(
        Token(name=each.name, scopes=frozenset(map(Scope, each.scopes)), digest=each.digest, expires=each.expires)
        for each in document.token
    )
    if len({each.digest for each in tokens}) < len(tokens):
        raise TokenFileError("it holds the same token twice")
    return Keys(tokens=tokens, signers=tuple(Signer(name=each.name, secret=each.secret) for each in document.signature))


def _remember(document: Document) -> None:
    """Have everything that is shown masked where it holds one of these."""
    secrets: Iterable[str | None] = (
        *(each.token for each in document.token),
        *(each.secret for each in document.signature),
    )
    for each in filter(None, secrets):
        remember(each)
