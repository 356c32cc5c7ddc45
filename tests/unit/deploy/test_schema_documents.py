"""The documents say what the code does."""

import json
from importlib import resources

import msgspec
import pytest

from deploy.schema_documents import EVENTS, FRAMES, documents
from schemas import events, frames


@pytest.mark.parametrize("name", sorted(documents()))
def test_a_document_is_what_the_structs_say_now(name: str) -> None:
    written = resources.files("schemas").joinpath(name).read_text()
    assert written == documents()[name], f"{name} is old: run `talklog schemas`"


def test_there_is_no_document_without_a_struct() -> None:
    folder = resources.files("schemas").joinpath("json")
    assert {f"json/{path.name}" for path in folder.iterdir()} == documents().keys() - {
        "asyncapi.yaml"
    }


def test_every_event_and_every_frame_has_a_document() -> None:
    documented = {struct for group in EVENTS.values() for struct in group} | set(FRAMES)
    assert documented == set(_tagged(events, events.Event)) | set(_tagged(frames, frames.Frame))


def test_every_reference_of_the_asyncapi_document_leads_somewhere() -> None:
    document = json.loads(documents()["asyncapi.yaml"])
    for reference in _references(document):
        place = document
        for part in reference.removeprefix("#/").split("/"):
            place = place[part]


def _tagged(module: object, base: type[msgspec.Struct]) -> list[type[msgspec.Struct]]:
    found = [v for v in vars(module).values() if isinstance(v, type) and issubclass(v, base)]
    return [struct for struct in found if struct is not base]


def _references(value: object) -> list[str]:
    if isinstance(value, dict):
        own = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
        return own + [r for each in value.values() for r in _references(each)]
    if isinstance(value, list):
        return [r for each in value for r in _references(each)]
    return []
