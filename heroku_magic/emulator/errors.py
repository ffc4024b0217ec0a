"""The answers that are errors, with Heroku's ids and sentences; nothing is sent here.

https://devcenter.heroku.com/articles/platform-api-reference#errors
"""

from __future__ import annotations

from typing import Any

from tornado.web import HTTPError


class StartError(Exception):
    """What keeps the emulator from starting, in one line for the user."""


class BuildFailed(Exception):
    """The app's requirements could not be installed; the text ends with pip's last lines."""


class ApiError(HTTPError):
    """An error answer: its status and its body, `{"id", "message", ...}`."""

    def __init__(self, status: int, kind: str, message: str, **more: Any) -> None:
        super().__init__(status)
        self.body = {**more, "id": kind, "message": message}


def bad_request(message: str) -> ApiError:
    """Return a 400: the request cannot be read."""
    return ApiError(400, "bad_request", message)


def forbidden(message: str) -> ApiError:
    """Return a 403: the request does not come from whom we talk to."""
    return ApiError(403, "forbidden", message)


def unauthorized() -> ApiError:
    """Return the 401 of a missing or wrong token."""
    return ApiError(401, "unauthorized", "Invalid credentials provided.")


def not_found(resource: str) -> ApiError:
    """Return the 404 of a resource that is not there."""
    return ApiError(404, "not_found", f"Couldn't find that {resource}.", resource=resource)


def no_endpoint() -> ApiError:
    """Return the 404 of a path or method that the API does not have."""
    return ApiError(
        404,
        "not_found",
        "The requested API endpoint was not found. Are you using the right HTTP verb (i.e. `GET` vs. `POST`), "
        "and did you specify your intended version with the `Accept` header?",
    )


def not_acceptable() -> ApiError:
    """Return the 406 of an Accept header without the API's version."""
    return ApiError(
        406,
        "not_acceptable",
        "Please specify a version along with Heroku's API MIME type. "
        "For example, `Accept: application/vnd.heroku+json; version=3`.",
    )


def conflict() -> ApiError:
    """Return the 409 of a release that the runtime does not see yet."""
    return ApiError(409, "conflict", "The release is not available to run yet. Please try again in a moment.")


def invalid_range() -> ApiError:
    """Return the 416 of a Range header that cannot be served."""
    return ApiError(
        416, "requested_range_not_satisfiable", "Couldn't parse the Range header or it asks for what cannot be sorted."
    )


def invalid_params(message: str) -> ApiError:
    """Return a 422: a parameter is missing, unknown or out of its bounds."""
    return ApiError(422, "invalid_params", message)


def above_limit(limit: int, size: str) -> ApiError:
    """Return the 422 of one dyno too many."""
    return ApiError(
        422,
        "cannot_run_above_limit",
        f"Cannot run more than {limit} {size} size dynos.",
        limit=limit,
        size=size,
        url="https://devcenter.heroku.com/articles/dyno-size#default-scaling-limits",
    )


def rate_limited() -> ApiError:
    """Return the 429 of an hour's requests used up."""
    return ApiError(
        429,
        "rate_limit",
        "Your account reached the API rate limit\nPlease wait a few minutes before making new requests",
        url="https://devcenter.heroku.com/articles/platform-api-reference#rate-limits",
    )
