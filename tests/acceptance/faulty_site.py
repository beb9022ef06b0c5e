"""The site with an API whose operations are wrong: settings and URLs in one module, for the fuzzer's control."""
# pyright: reportConstantRedefinition=false

from pastetrader.settings import *  # noqa: F403

ROOT_URLCONF = "tests.acceptance.faulty_urls"
