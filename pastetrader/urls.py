"""The URLs of the site. Until there are pages of its own, the front page is the admin."""

from django.contrib import admin
from django.urls import path, re_path
from django.views.generic import RedirectView

from executions_app.web import limited_login, probes, unknown, urls
from pastetrader.api import api

urlpatterns = [
    *probes,
    path("", RedirectView.as_view(pattern_name="admin:index")),
    path("admin/login/", limited_login(admin.site.login)),
    path("admin/", admin.site.urls),
    path("api/v1/", urls(api)),
    re_path("^api(?:/|$)", unknown),
]
