"""`talklog schemas`: writes JSON Schemas and the AsyncAPI document from the structs in the code.

The structs are what the services encode and decode, so they are the source, and the documents are
written for those who speak to talklog from elsewhere. A test fails when they differ.
"""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path
from typing import Annotated

import typer

from deploy.documents.asyncapi import asyncapi
from deploy.documents.json_schemas import json_schemas


def schemas(
    folder: Annotated[
        Path | None, typer.Option(help="where to write  [default: the package]")
    ] = None,
) -> None:
    """Write schemas/json/*.json and schemas/asyncapi.yaml again."""
    target = folder or Path(str(resources.files("schemas")))
    for name, text in sorted(documents().items()):
        path = target / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        print(path)


def documents() -> dict[str, str]:
    """Give every generated file: its path below schemas/, and its text."""
    files = {f"json/{name}.json": schema for name, schema in json_schemas().items()}
    # JSON is YAML as well, and needs no library to write.
    whole = files | {"asyncapi.yaml": asyncapi()}
    return {
        name: json.dumps(content, indent=2, ensure_ascii=False) + "\n"
        for name, content in whole.items()
    }
