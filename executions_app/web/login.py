"""A login page that does not let passwords be guessed."""

from collections.abc import Callable
from functools import wraps
from http import HTTPStatus
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.views.decorators.debug import sensitive_post_parameters

from workflows_app.services.audit import address_of
from workflows_app.services.errors import TooManyWrongCredentials
from workflows_app.services.limits import refuse_guessing


def limited_login(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
    """Wraps a login view: after too many wrong passwords from an address it answers 429 until the minute is over."""

    @wraps(view)
    @sensitive_post_parameters()
    def limited(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if request.method == "POST":
            try:
                refuse_guessing(address_of(request))
            except TooManyWrongCredentials as error:
                refusal = HttpResponse(
                    f"{error}\n", status=HTTPStatus.TOO_MANY_REQUESTS, content_type="text/plain; charset=utf-8"
                )
                refusal["Retry-After"] = str(error.retry_after)
                return refusal
        return view(request, *args, **kwargs)

    return limited
