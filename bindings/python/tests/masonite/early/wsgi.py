"""A small application for Masonite 1.6, 2.3 and 3.0, started as their skeletons start theirs."""

import builtins
import collections.abc
import os

# 2.3 asks for a name that Python 3.10 has moved.
collections.MutableMapping = collections.abc.MutableMapping

os.environ.setdefault("KEY", "ogCYY8cuYd-b8EC5CJSMhQr2rLvoZ5mRpYwCCyHUeQw=")

import tldextract  # noqa: E402

# Masonite looks every host up in a list that this package would fetch from the network.
tldextract.extract = tldextract.TLDExtract(suffix_list_urls=None)

import masonite  # noqa: E402
from masonite.app import App  # noqa: E402

from config import application as application_config  # noqa: E402
from config import providers  # noqa: E402

IS_FIRST = not hasattr(masonite, "Session")


def app(environ, start_response):
    container.bind("Environ", environ)
    try:
        for provider in container.make("WSGIProviders"):
            container.resolve(provider.boot)
    except Exception as error:
        container.make("ExceptionHandler").load_exception(error)
    if IS_FIRST:
        start_response(container.make("StatusCode"), container.make("Headers"))
        return iter([bytes(container.make("Response"), "utf-8")])
    request = container.make("Request")
    start_response(request.get_status_code(), request.get_and_reset_headers())
    response = container.make("Response")
    return iter([response if isinstance(response, bytes) else bytes(response, "utf-8")])


try:
    # 3.0 brings its own.
    from masonite.wsgi import response_handler as handler
except ImportError:
    handler = app

container = App()
container.bind("WSGI", handler)
if IS_FIRST:
    container.bind("Application", application_config)
container.bind("Container", container)
container.bind("Providers", [])
container.bind("WSGIProviders", [])
for provider_class in providers.PROVIDERS:
    provider = provider_class().load_app(container)
    provider.register()
    container.make("WSGIProviders" if provider.wsgi else "Providers").append(provider)
for provider in container.make("Providers"):
    container.resolve(provider.boot)
if not hasattr(builtins, "request"):
    # 3.0 has this helper of the documents no longer.
    builtins.request = lambda: container.make("Request")
application = container.make("WSGI")
