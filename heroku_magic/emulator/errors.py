"""The error responses, with Heroku's ids and sentences.

https://devcenter.heroku.com/articles/platform-api-reference#errors
"""

from __future__ import annotations

from typing import Any

from tornado.web import HTTPError


class StartError(Exception):
    """What keeps the emulator from starting, in one line for the user."""


class BuildError(Exception):
    """The app could not be built; for requirements the text ends with pip's last lines."""


class ErrorResponse(HTTPError):
    """An error response: its status and its body, `{"id", "message", ...}`."""

    def __init__(self, status: int, kind: str, message: str, **more: Any) -> None:
        super().__init__(status)
        self.body = {**more, "id": kind, "message": message}


def bad_request(message: str) -> ErrorResponse:
    """Return a 400: the request cannot be read."""
    return ErrorResponse(400, "bad_request", message)


def forbidden(message: str) -> ErrorResponse:
    """Return a 403: the sender of the request is not allowed to send it."""
    return ErrorResponse(403, "forbidden", message)


def internal() -> ErrorResponse:
    """Return a 500: something failed on the platform's side."""
    return ErrorResponse(500, "internal_server_error", "Internal server error.")


def unauthorized() -> ErrorResponse:
    """Return the 401 for a missing or wrong token."""
    return ErrorResponse(401, "unauthorized", "Invalid credentials provided.")


def not_found(resource: str) -> ErrorResponse:
    """Return the 404 for a resource that does not exist."""
    return ErrorResponse(404, "not_found", f"Couldn't find that {resource}.", resource=resource)


def unknown_url() -> ErrorResponse:
    """Return the 404 for a secret URL that does not exist."""
    return ErrorResponse(404, "not_found", "Not found")


def no_endpoint() -> ErrorResponse:
    """Return the 404 for a path or method that the API does not have."""
    return ErrorResponse(
        404,
        "not_found",
        "The requested API endpoint was not found. Are you using the right HTTP verb (i.e. `GET` vs. `POST`), "
        "and did you specify your intended version with the `Accept` header?",
    )


def not_acceptable() -> ErrorResponse:
    """Return the 406 for an Accept header without the API's version."""
    return ErrorResponse(
        406,
        "not_acceptable",
        "Please specify a version along with Heroku's API MIME type. "
        "For example, `Accept: application/vnd.heroku+json; version=3`.",
    )


def conflict() -> ErrorResponse:
    """Return the 409 for a release that the runtime does not know yet."""
    return ErrorResponse(409, "conflict", "The release is not available to run yet. Please try again in a moment.")


def invalid_range() -> ErrorResponse:
    """Return the 416 for a Range header that cannot be served."""
    return ErrorResponse(
        416, "requested_range_not_satisfiable", "Couldn't parse the Range header, or its key cannot be sorted by."
    )


def invalid_params(message: str) -> ErrorResponse:
    """Return a 422: a parameter is missing, unknown or out of bounds."""
    return ErrorResponse(422, "invalid_params", message)


def unsupported(what: str) -> ErrorResponse:
    """Return the 422 for what Heroku supports and the emulator does not."""
    return invalid_params(f"The embedded Heroku does not support {what}.")


def precondition_failed() -> ErrorResponse:
    """Return the 412 for a resource that has changed since its ETag was read."""
    return ErrorResponse(412, "precondition_failed", "The resource has changed: its ETag is not that of If-Match.")


def above_limit(limit: int, size: str) -> ErrorResponse:
    """Return the 422 for one dyno too many."""
    return ErrorResponse(
        422,
        "cannot_run_above_limit",
        f"Cannot run more than {limit} {size} size dynos.",
        limit=limit,
        size=size,
        url="https://devcenter.heroku.com/articles/dyno-size#default-scaling-limits",
    )


def no_descriptors() -> ErrorResponse:
    """Return the 422 for a dyno that this process has no file descriptors for."""
    message = "Cannot run more dynos: the embedded Heroku has no file descriptors left. Raise `ulimit -n`."
    return ErrorResponse(422, "cannot_run_above_limit", message)


def stopping() -> ErrorResponse:
    """Return the 503 for a request while the emulator ends."""
    return ErrorResponse(503, "service_unavailable", "The embedded Heroku is stopping.")


def rate_limited() -> ErrorResponse:
    """Return the 429 for an exhausted request budget."""
    return ErrorResponse(
        429,
        "rate_limit",
        "Your account reached the API rate limit\nPlease wait a few minutes before making new requests",
        url="https://devcenter.heroku.com/articles/platform-api-reference#rate-limits",
    )
