"""Releases beside a running server: a label waits until the server has the version."""

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from tests.publish.released import MODEL, entry, run


class _Status(BaseHTTPRequestHandler):
    """Answers what a server says of a version, one state after the other."""

    states: list[str]
    asked: list[str]

    def do_GET(self):
        self.asked.append(self.path)
        state = self.states.pop(0)
        error = {"error_code": "UNKNOWN", "error_message": "bad files"} if state == "END" else {}
        body = json.dumps({"model_version_status": [{"version": "4", "state": state, "status": error}]}).encode()
        self.send_response(404 if state == "HTTP 404" else 200)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        """Says nothing."""


@pytest.fixture
def server(monkeypatch):
    """Starts a server that gives these states in turn; returns its address and what it was asked."""
    monkeypatch.setattr("pipeline.releasing._SECONDS_BETWEEN_LOOKS", 0.01)
    running = []

    def start(*states):
        handler = type("Handler", (_Status,), {"states": list(states), "asked": []})
        running.append(HTTPServer(("127.0.0.1", 0), handler))
        threading.Thread(target=running[-1].serve_forever, args=(0.01,)).start()
        return f"http://127.0.0.1:{running[-1].server_port}", handler.asked

    yield start
    for each in running:
        each.shutdown()
        each.server_close()


def test_promotion_waits_for_the_server_and_finishes(serving, server):
    run(serving, "promote", MODEL, 3)
    url, asked = server("HTTP 404", "LOADING", "AVAILABLE")
    assert run(serving, "promote", MODEL, 4, "--server", url).endswith(f"{MODEL}: stable is 4\n")
    assert asked == [f"/v1/models/{MODEL}/versions/4"] * 3
    assert entry(serving) == ([3, 4], {"stable": 4})


@pytest.mark.parametrize(
    ("states", "answer"), [(["LOADING", "END"], "bad files"), (["HTTP 404"] * 1000, "not AVAILABLE within 1 s")]
)
def test_version_that_cannot_be_loaded_never_becomes_stable(serving, server, states, answer):
    run(serving, "promote", MODEL, 3)
    url, _ = server(*states)
    assert answer in run(serving, "promote", MODEL, 4, "--server", url, "--timeout", 1, code=1)
    assert entry(serving)[1] == {"stable": 3}
