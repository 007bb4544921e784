"""The fixture that Starlette's tests take from its own conftest."""

import functools

import pytest
from starlette.testclient import TestClient


@pytest.fixture
def test_client_factory(anyio_backend_name, anyio_backend_options):
    return functools.partial(TestClient, backend=anyio_backend_name, backend_options=anyio_backend_options)
