"""Answers: what each call gives, as models that routes return.

The OpenAPI document, its examples, the viewer's types and docs/reference/api.md are made of them.
An answer may gain keys in later versions, and none goes away under ``/api/v1``.
"""
