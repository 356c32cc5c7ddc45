"""Reads settings from the environment, once, and reports every mistake by its variable.

All processes of an installation may share one environment, so a name is misspelt only if no tier
knows it: `setting_names` lists every tier's (a test holds it to the settings classes).

An orchestrator puts the addresses of its services into every environment, under names that begin
like ours where a service's does. Those forms are told and passed over. So is any other name that
nobody knows where `TALKLOG_UNKNOWN_NAMES=warn`, as in the image: there others write into the
environment too, and during a rollout an older version is given what only the newer one knows.

A secret (a field without `repr`) may lie in a file instead, which the same name with `_FILE` behind
it names: what is in an environment is seen by every child and in many a list of processes.
"""

import difflib
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from pydantic import ValidationError, ValidationInfo, field_validator
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, SettingsConfigDict

from schemas.process.exit_codes import EXIT_SETTINGS
from schemas.process.setting_names import NAMES as NAMES
from schemas.process.setting_names import PREFIX as PREFIX
from schemas.process.workable import why_not

FILE = "_FILE"
FILE_MAX_BYTES = 64 * 1024
UNKNOWN_NAMES = f"{PREFIX}UNKNOWN_NAMES"

_SERVICE = re.compile(
    r"TALKLOG(_[A-Z0-9_]+)?_("
    r"SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)"
)
_SERVICE_ADDRESS = re.compile(r"(tcp|udp|sctp)://\S*")

S = TypeVar("S", bound="Settings")


class SettingsError(Exception):
    """One or more settings are wrong; `problems` has a line for each, with name and value."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class Settings(BaseSettings):
    """Base of every tier's settings: `TALKLOG_` and the field's name in capitals."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="ignore")

    @field_validator("*", mode="before")
    @classmethod
    def _not_of_an_orchestrator(cls, value: Any, info: ValidationInfo) -> Any:
        name = info.field_name or ""
        if injected(PREFIX + name.upper(), str(value)):
            return cls.model_fields[name].get_default()
        return value

    @field_validator("*")
    @classmethod
    def _can_work(cls, value: Any, info: ValidationInfo) -> Any:
        if isinstance(value, str) and (why := why_not(info.field_name or "", value)):
            raise ValueError(why)
        return value

    def contradictions(self) -> list[str]:
        """Give a line for each setting that can't be right beside the others, by its name."""
        return []


def variable(name: str, field: FieldInfo) -> str:
    """Give the environment variable of a field (an alias stands for the whole name)."""
    alias = field.validation_alias
    return alias if isinstance(alias, str) else PREFIX + name.upper()


def load(settings: type[S], environ: Mapping[str, str]) -> S:
    """Read the class's settings from the process's environment (`environ` is checked for names).

    Raises:
        SettingsError: with every wrong value and every misspelt `TALKLOG_` name.
    """
    passed_over = [name for name in sorted(environ) if injected(name, environ[name])]
    if passed_over:
        print(
            f"settings: passed over, an orchestrator's: {', '.join(passed_over)}", file=sys.stderr
        )
    problems = refused_names(environ)
    from_files: dict[str, Any] = {}
    for name, field in secrets_of(settings):
        try:
            if (text := from_file(variable(name, field), environ)) is not None:
                alias = field.validation_alias
                from_files[alias if isinstance(alias, str) else name] = text
        except SettingsError as error:
            problems += error.problems
    try:
        loaded = settings(**from_files)
    except ValidationError as error:
        problems += [_problem(settings, detail) for detail in error.errors()]
    else:
        problems += loaded.contradictions()
    if problems:
        raise SettingsError(problems)
    return loaded


def secrets_of(settings: type[BaseSettings]) -> Iterator[tuple[str, FieldInfo]]:
    """Give the fields that may be in a file: those that are never shown."""
    return ((name, field) for name, field in settings.model_fields.items() if not field.repr)


def from_file(name: str, environ: Mapping[str, str]) -> str | None:
    """Give what the file of a secret holds, without its last newline; None: no file is named.

    Raises:
        SettingsError: it can't be read, or the secret is given twice.
    """
    place = environ.get(name + FILE)
    if not place:
        return None
    if environ.get(name):
        raise SettingsError([f"{name}{FILE}: {name} is set too; which one counts?"])
    try:
        with Path(place).open("rb") as file:
            text = file.read(FILE_MAX_BYTES + 1)
        if len(text) > FILE_MAX_BYTES:
            raise ValueError(f"more than {FILE_MAX_BYTES} bytes")
        return text.decode().removesuffix("\n").removesuffix("\r")
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise SettingsError([f"{name}{FILE}={place!r}: {why}"]) from error


def given(name: str, environ: Mapping[str, str]) -> str | None:
    """Give a secret, from its file or the environment itself. Raises SettingsError."""
    text = from_file(name, environ)
    return environ.get(name) if text is None else text


def listed(text: str) -> list[str]:
    """Give the parts of a list with commas; what is empty is none."""
    return [part.strip() for part in text.split(",") if part.strip()]


def injected(name: str, value: str) -> bool:
    """Whether it is what an orchestrator says of a service whose name begins with `talklog`.

    `TALKLOG_PORT` is a setting too: an address in it is none.
    """
    if not name.startswith(PREFIX):
        return False
    if name.endswith("_PORT") and _SERVICE_ADDRESS.fullmatch(value):
        return True
    return name not in NAMES and _SERVICE.fullmatch(name) is not None


def refused_names(environ: Mapping[str, str]) -> list[str]:
    """Give a line for every misspelt name, or only print them where that is what is wanted."""
    lines = misspelt(environ)
    if environ.get(UNKNOWN_NAMES) != "warn":
        return lines
    for line in lines:
        print(f"settings: passed over: {line}", file=sys.stderr)
    return []


def misspelt(environ: Mapping[str, str]) -> list[str]:
    """Give a line for every `TALKLOG_` name that no tier knows."""
    lines = []
    for name in sorted(environ):
        known = name in NAMES or injected(name, environ[name])
        if name.startswith(PREFIX) and not known:
            lines.append(f"{name}: no such setting{_meant(name)}")
    return lines


def _meant(name: str) -> str:
    # Without the prefix, which would make every name look like every other.
    known = [known.removeprefix(PREFIX) for known in sorted(NAMES)]
    near = difflib.get_close_matches(name.removeprefix(PREFIX), known, n=1)
    return f"; meant {PREFIX}{near[0]}?" if near else ""


def exit_with(error: SettingsError) -> NoReturn:
    """Print every problem and leave with exit code 2."""
    for problem in error.problems:
        print(f"settings: {problem}", file=sys.stderr)
    sys.exit(EXIT_SETTINGS)


def _problem(settings: type[Settings], detail: object) -> str:
    assert isinstance(detail, dict)  # noqa: S101 - pydantic's own shape
    location = [str(part) for part in detail["loc"]]
    fields = settings.model_fields
    name = next(
        (
            variable(key, field)
            for key, field in fields.items()
            if location and location[0].lower() in (key, variable(key, field).lower())
        ),
        ".".join(location) or "settings",
    )
    if any(variable(key, field) == name and not field.repr for key, field in fields.items()):
        return f"{name}: {detail['msg']}"  # a secret: not to be shown
    if detail["type"] == "missing":
        return f"{name}: required, but not set"
    return f"{name}={detail.get('input')!r}: {detail['msg']}"
