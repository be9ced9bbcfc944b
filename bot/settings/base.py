"""Base class of settings, read from the environment and `.env`, and the type of list settings."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Self

from pydantic import AliasChoices, BeforeValidator, ValidationError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from bot.errors import SettingsError
from bot.settings.validators import split_list

Names = Annotated[tuple[str, ...], NoDecode, BeforeValidator(split_list)]
"""List setting, written with commas or blanks between its items."""


class SettingsBase(BaseSettings):
    """Base class of the core's settings and of each adapter's.

    Attributes:
        own_prefixes: beginnings of environment names that belong to this class alone: an unknown
            name with one of them is a misspelling.
    """

    own_prefixes: ClassVar[tuple[str, ...]] = ()

    model_config = SettingsConfigDict(
        frozen=True,
        env_file=".env",
        env_ignore_empty=True,
        extra="ignore",
        hide_input_in_errors=True,
        allow_inf_nan=False,
        populate_by_name=True,
    )

    @classmethod
    def load(cls, **overrides: Any) -> Self:
        """Read environment and `.env`.

        Raises:
            SettingsError: a value is impossible; names each, never shows a secret.
        """
        try:
            return cls(**overrides)
        except ValidationError as error:
            lines = [
                _env_name(item["loc"]) + item["msg"].removeprefix("Value error, ")
                for item in error.errors(include_url=False, include_context=False)
            ]
            raise SettingsError("\n".join(lines), cure="Correct it and start again.") from None

    @classmethod
    def names(cls) -> set[str]:
        """Names of the environment variables it reads."""
        names: set[str] = set()
        for name, info in cls.model_fields.items():
            alias = info.validation_alias
            if isinstance(alias, AliasChoices):
                names.update(str(choice).upper() for choice in alias.choices)
            names.add(name.upper())
        return names


def _env_name(loc: tuple[int | str, ...]) -> str:
    return f"{str(loc[0]).upper()}: " if loc else ""
