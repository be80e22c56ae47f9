"""One server for what runs in a trainer's environment."""

from tests.adapters.conftest import server as server
