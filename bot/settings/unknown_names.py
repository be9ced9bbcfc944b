"""Check for unknown setting names: refused, with the nearest known name."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from dotenv import dotenv_values

from bot.errors import SettingsError

if TYPE_CHECKING:
    from bot.settings.base import SettingsBase


def refuse_unknown_names(
    classes: Iterable[type[SettingsBase]], environ: Mapping[str, str] | None = None
) -> None:
    """Refuse environment variables with a prefix of `classes` that are no settings.

    Raises:
        SettingsError: it lists each name, with the nearest known one.
    """
    classes = tuple(classes)
    known = set().union(*(cls.names() for cls in classes))
    own_prefixes = tuple(prefix for cls in classes for prefix in cls.own_prefixes)
    given = set(os.environ if environ is None else environ)
    if environ is None:
        given |= _names_in_env_file()
    unknown = sorted(
        name
        for name in given
        if name.upper().startswith(own_prefixes) and name.upper() not in known
    )
    if not unknown:
        return
    lines = []
    for name in unknown:
        near = difflib.get_close_matches(name.upper(), sorted(known), n=1, cutoff=0.6)
        lines.append(f"{name} is no setting" + (f"; did you mean {near[0]}?" if near else "."))
    raise SettingsError("\n".join(lines), cure="Correct or remove it and start again.")


def _names_in_env_file() -> set[str]:
    cure = "Save .env as UTF-8 text that you may read, or remove it."
    try:
        return set(dotenv_values(".env"))
    except UnicodeDecodeError as error:
        raise SettingsError(f".env is no UTF-8 text (byte {error.start + 1})", cure=cure) from None
    except OSError as error:
        raise SettingsError(f".env cannot be read: {error.strerror}", cure=cure) from None
