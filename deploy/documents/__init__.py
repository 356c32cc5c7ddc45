"""Descriptions generated from the code: JSON Schemas, AsyncAPI, the list of settings."""
