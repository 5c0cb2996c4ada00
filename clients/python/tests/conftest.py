"""The service that the tests use: the one at ``$LOSSD_URL``."""

import os

import pytest

import lossd


@pytest.fixture(scope="session")
def client(tmp_path_factory):
    url = os.environ.get("LOSSD_URL")
    if not url:
        pytest.skip("there is no service at $LOSSD_URL: npm run test:clients -- python starts one")
    with lossd.Client(url, cache=tmp_path_factory.mktemp("cache")) as made:
        yield made


@pytest.fixture(scope="session", autouse=True)
def as_default(client):
    lossd.set_default_client(client)


def pytest_sessionfinish(session, exitstatus):
    """A file whose framework is not installed is skipped whole, which pytest reports like a file without tests."""
    if exitstatus == pytest.ExitCode.NO_TESTS_COLLECTED:
        session.exitstatus = pytest.ExitCode.OK
