"""A file of SQL is a dictionary of statements."""

from importlib.resources import files

from schemas.statements import parse, statements


def test_each_statement_stands_under_its_name_without_its_semicolon() -> None:
    text = "-- Of the file.\n\n-- name: one\n-- Why.\nSELECT 1;\n\n-- name: two\nSELECT\n    2;\n"
    assert parse(text) == {"one": "-- Why.\nSELECT 1", "two": "SELECT\n    2"}


def test_a_file_without_names_has_no_statements() -> None:
    assert parse("SELECT 1;\n") == {}


def test_a_packages_file_is_read() -> None:
    text = files("persister").joinpath("queries.sql").read_text()
    assert set(statements("persister", "queries.sql")) == set(parse(text))
    assert len(parse(text)) == text.count("-- name: ")
