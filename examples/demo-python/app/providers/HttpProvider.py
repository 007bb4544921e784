"""The request and its response, made by the framework from what can be trusted.

Whatever a client sends, each request gets its own pair: a body that cannot be read would otherwise end the framework before
it has made them, and the error page would go out on the response of the visitor before.
"""

import io

from masonite.providers import FrameworkProvider

FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")
MAX_FORM_BYTES = 64 * 1024

# No script, no frame, nothing from elsewhere: whatever an attacker smuggles in has nothing to run with.
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
}


class HttpProvider(FrameworkProvider):
    def boot(self):
        environ = self.application.make("environ")
        is_form = environ.get("CONTENT_TYPE", "").startswith(FORMS)
        if not is_form or int(environ.get("CONTENT_LENGTH") or 0) > MAX_FORM_BYTES:
            environ["wsgi.input"] = io.BytesIO()
        try:
            super().boot()
        except ValueError:
            # No form after all: it has no fields, and will be refused for its missing token.
            environ["wsgi.input"] = io.BytesIO()
            super().boot()
        self.application.make("response").with_headers(HEADERS)
