"""An HTTP client of the admin service, and programs that have it switched on."""

import http.client
import json
import socket

from program import free_port
from wsclient import WebSocket

TOKEN = "a-token-of-some-length"


class Answer:
    def __init__(self, response):
        self.status = response.status
        self.headers = {name.lower(): value for name, value in response.getheaders()}
        self.text = response.read().decode()

    def json(self):
        return json.loads(self.text)


class Admin:
    """A program's admin service, as an HTTP client sees it."""

    def __init__(self, port):
        self.port = port

    def ask(self, method, path, body=None, **fields):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        headers = {name.replace("_", "-"): value for name, value in fields.items()}
        try:
            connection.request(method, path, body=body, headers=headers)
            return Answer(connection.getresponse())
        finally:
            connection.close()

    def get(self, path, **fields):
        return self.ask("GET", path, **fields)

    def post(self, path, body, token=TOKEN, **fields):
        if token:
            fields["Authorization"] = f"Bearer {token}"
        return self.ask("POST", path, json.dumps(body), **fields)

    def viewer(self, more="", **how):
        sock = socket.create_connection(("127.0.0.1", self.port), 20)
        return WebSocket(sock, path="/live", more=more, **how)


def with_admin(launch, name, *options, token=TOKEN, sets=None, **how):
    port = free_port()
    more = {"crew.admin": f"http://127.0.0.1:{port}", **(sets or {})}
    if token:
        more["crew.admin_token"] = token
    program = launch(name, *options, sets=more, **how)
    program.admin = Admin(port)
    return program


def single(launch, name, **how):
    program = with_admin(launch, name, start=False, **how)
    program.spawn("--single")
    program.master = program.wait_ready()["pid"]
    return program
