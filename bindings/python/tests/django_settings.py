"""The settings of the Django applications in the tests. No database file, no fixed port."""

import django
from django.conf import settings

SETTINGS = {
    "SECRET_KEY": "for the tests",
    "ALLOWED_HOSTS": ["*"],
    "USE_TZ": True,
    "SESSION_ENGINE": "holdall.django",
    "HOLDALL": "memory:",
    "DATABASES": {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    "INSTALLED_APPS": ["django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions"],
    "MIDDLEWARE": [
        "holdall.django.SessionMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
    ],
    "PASSWORD_HASHERS": ["django.contrib.auth.hashers.MD5PasswordHasher"],
    "ROOT_URLCONF": "test_django",
}


def set_up():
    if not settings.configured:
        settings.configure(**SETTINGS)
        django.setup()
