"""How the mock API is served."""

from openai import DEFAULT_CONNECTION_LIMITS

from helpers.local_api import server


def test_it_is_the_client_that_drops_an_idle_connection():
    """If both did after the same time, a connection would now and then be reset while it is used."""
    kept = server._config(app=None, port=0).timeout_keep_alive
    assert kept > 2 * DEFAULT_CONNECTION_LIMITS.keepalive_expiry
