"""The URLs of the site. Its front page is the admin."""

from django.contrib import admin
from django.urls import path, re_path
from django.views.generic import RedirectView
from django.views.i18n import set_language

from executions_app.web import limited_login, probes, unknown, urls
from pastetrader.api import api

admin.autodiscover()
admin.site.site_header = admin.site.site_title = "PasteTrader"
admin.site.site_url = None

urlpatterns = [
    *probes,
    path("", RedirectView.as_view(pattern_name="admin:index")),
    path("language/", set_language, name="set_language"),
    path("admin/login/", limited_login(admin.site.login)),
    path("admin/", admin.site.urls),
    path("api/v1/", urls(api)),
    re_path("^api(?:/|$)", unknown),
]
