"""Errors in the form of the OpenAI API: an envelope of four keys, a status and, where needed, headers."""


class APIError(Exception):
    """An answer other than 2xx. Raised anywhere below a route; ``app`` turns it into the HTTP answer."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        type: str = "invalid_request_error",
        param: str | None = None,
        code: str | None = None,
        headers: dict[str, str] | None = None,
    ):
        super().__init__(message)
        self.status = status
        self.headers = headers or {}
        self.error = {"message": message, "type": type, "param": param, "code": code}

    @property
    def envelope(self) -> dict:
        """The JSON body, as in schema ``ErrorResponse`` of OpenAI's API description."""
        return {"error": self.error}


def bad_request(message: str, param: str | None = None, code: str | None = None) -> APIError:
    """400: the request can never work as it is."""
    return APIError(400, message, param=param, code=code)


def not_found(what: str, object_id: str, param: str | None = "id") -> APIError:
    """404: no such object, or it belongs to another key."""
    return APIError(404, f"No such {what}: {object_id}", param=param)


def model_not_found(model: str, hint: str = "") -> APIError:
    """404 for a model that does not exist or belongs to another key. ``hint`` says what can be done about it."""
    message = f"The model `{model}` does not exist or you do not have access to it. {hint}".rstrip()
    return APIError(404, message, code="model_not_found")


def model_deprecated(model: str) -> APIError:
    """404 for a model that has been shut down (wording seen live by third parties, 2026)."""
    message = (
        f"The model `{model}` has been deprecated, learn more here: "
        "https://platform.openai.com/docs/deprecations"
    )
    return APIError(404, message, code="model_not_found")


def not_simulated(what: str) -> APIError:
    """501: part of the OpenAI API that this server does not imitate. The client is told not to retry."""
    message = f"{what} is part of the OpenAI API, but it is not simulated here. See the README for what is."
    return APIError(501, message, code="not_simulated", headers={"x-should-retry": "false"})
