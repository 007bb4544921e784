"""The fixtures of Flask's tests/conftest.py that its session tests use, with Holdall put in."""

import os

import pytest
from flask import Flask

from holdall.flask import SessionInterface


@pytest.fixture
def app():
    app = Flask("flask_test", root_path=os.path.dirname(__file__))
    app.config.update(
        TESTING=True,
        SECRET_KEY="test key",
        HOLDALL="memory:",
    )
    app.session_interface = SessionInterface()
    return app


@pytest.fixture
def app_ctx(app):
    with app.app_context() as ctx:
        yield ctx


@pytest.fixture
def req_ctx(app):
    with app.test_request_context() as ctx:
        yield ctx


@pytest.fixture
def client(app):
    return app.test_client()
