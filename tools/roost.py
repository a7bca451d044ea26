#!/usr/bin/env python3
"""A client of Roost's protocol for programs, which docs/remote.md describes. The standard library is all that it needs.

    from roost import Roost

    with Roost("127.0.0.1", user="admin", password="secret") as roost:
        for vm in roost.run("vm list"):
            print(vm["name"], vm["state"])
        roost.run("vm", "send", "linux", "uname -a\\r")

Listings come as lists and dictionaries, what other commands say as text. As a program:

    ROOST_PASSWORD=secret tools/roost.py HOST[:PORT] COMMAND...

prints the result as JSON. `roostctl` is the tool for people. `tools/roost.py --self-test` talks to a server of its own.
"""

import json
import os
import shlex
import socket
import sys

PORT = 2324
PROTOCOL = 1
# More on one line is not Roost's: its answers are shorter.
LONGEST_LINE = 4 << 20


class RoostError(Exception):
    """Something was not done; `kind` is one of docs/remote.md, or "connection"."""

    def __init__(self, kind, message):
        super().__init__(message)
        self.kind = kind


class Console:
    """A VM's console: `about` says whose it is; `send` types, `recv` reads, `close` leaves."""

    def __init__(self, about, stream, received):
        self.about = about
        self._socket = stream
        self._received = received

    def send(self, data):
        self._socket.sendall(data)

    def recv(self, size=4096):
        """What the console has printed next; empty at its end."""
        if self._received:
            data, self._received = self._received[:size], self._received[size:]
            return data
        return self._socket.recv(size)

    def read_until(self, text):
        """All that comes up to these bytes, and with them."""
        seen = b""
        while text not in seen:
            data = self.recv()
            if not data:
                raise RoostError("connection", "the console ended before it showed %r" % text)
            seen += data
        at = seen.index(text) + len(text)
        self._received = seen[at:] + self._received
        return seen[:at]

    def close(self):
        self._socket.close()


class Roost:
    """A connection that is logged in."""

    def __init__(self, host, port=PORT, user="admin", password="", timeout=30):
        self._received = b""
        try:
            self._socket = socket.create_connection((host, port), timeout)
        except OSError as error:
            raise RoostError("connection", "%s, port %s: %s" % (host, port, error)) from error
        try:
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            hello = self._line()
            if "error" in hello:
                raise RoostError(hello["error"].get("kind"), hello["error"].get("message"))
            if hello.get("hello") != "roost" or hello.get("protocol") != PROTOCOL:
                raise RoostError("connection", "that is not Roost's protocol %d" % PROTOCOL)
            self.version = hello.get("version")
            # Commands such as `vm wait` may take as long as they want.
            self._socket.settimeout(None)
            login = self.run("login", user, password)
            self.role = login.get("role") if isinstance(login, dict) else None
        except BaseException:
            self._socket.close()
            raise

    def run(self, *words):
        """Runs a command: one word is a whole line as it would be typed, several are quoted. Returns the result."""
        reply = self._ask(words)
        if reply.get("attached"):
            raise RoostError("command", "use Roost.console for a console")
        return reply.get("result")

    def console(self, vm, columns=80, rows=24):
        """Attaches to a VM's console, which takes this connection over."""
        self._ask(("size", str(columns), str(rows)))
        about = self._ask(("vm", "console", str(vm)))["result"]
        return Console(about, self._socket, self._received)

    def close(self):
        self._socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _ask(self, words):
        line = words[0] if len(words) == 1 else " ".join(shlex.quote(str(word)) for word in words)
        if any(ord(char) < 32 and char != "\t" or ord(char) == 127 for char in line):
            raise RoostError("line", "a command has no control characters")
        try:
            self._socket.sendall(line.encode() + b"\n")
        except OSError as error:
            raise RoostError("connection", str(error)) from error
        while True:
            reply = self._line()
            if "ok" not in reply:
                continue
            if not reply.get("ok"):
                error = reply.get("error") or {}
                raise RoostError(error.get("kind"), error.get("message"))
            return reply

    def _line(self):
        while b"\n" not in self._received:
            if len(self._received) > LONGEST_LINE:
                raise RoostError("connection", "an answer has no end")
            try:
                data = self._socket.recv(4096)
            except OSError as error:
                raise RoostError("connection", str(error)) from error
            if not data:
                raise RoostError("connection", "the connection was closed")
            self._received += data
        line, self._received = self._received.split(b"\n", 1)
        try:
            reply = json.loads(line)
        except ValueError:
            reply = None
        if not isinstance(reply, dict):
            raise RoostError("connection", "that is not Roost's protocol %d" % PROTOCOL)
        return reply


def self_test():
    """Talks to a server that answers by heart."""
    import threading

    def ok(result, **more):
        return json.dumps({"ok": True, **more, "result": result})

    script = [
        ("login anna 'p w'", ok({"user": "anna", "role": "viewer"})),
        ("vm list", '{"event":"state","data":{}}\n' + ok([{"id": 1, "name": "linux"}])),
        ("vm send 1 'a b'", ok("")),
        ("vm start x", '{"ok":false,"error":{"kind":"command","message":"no VM"}}'),
        ("size 80 24", ok("")),
        ("vm console 1", ok({"id": 1, "keyboard": "yours"}, attached=True) + "\n/ # "),
        ("ls", "bin"),
    ]
    seen = []
    server = socket.create_server(("127.0.0.1", 0))

    def serve():
        connection, _ = server.accept()
        with connection, connection.makefile("rw", encoding="utf-8", newline="\n") as lines:
            lines.write('{"hello":"roost","protocol":1,"version":"9"}\n')
            lines.flush()
            for _, answer in script:
                seen.append(lines.readline().rstrip("\n"))
                lines.write(answer + "\n")
                lines.flush()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    with Roost("127.0.0.1", server.getsockname()[1], "anna", "p w") as roost:
        assert roost.role == "viewer" and roost.version == "9"
        assert roost.run("vm list") == [{"id": 1, "name": "linux"}]
        assert roost.run("vm", "send", 1, "a b") == ""
        try:
            roost.run("vm start x")
            raise AssertionError("it did not fail")
        except RoostError as error:
            assert (error.kind, str(error)) == ("command", "no VM")
        try:
            roost.run("echo a\nvm destroy 1")
            raise AssertionError("two lines in one")
        except RoostError as error:
            assert error.kind == "line"
        console = roost.console(1)
        assert console.about["keyboard"] == "yours"
        assert console.read_until(b"# ") == b"/ # "
        console.send(b"ls\n")
        assert console.read_until(b"bin") == b"\nbin"
    thread.join(10)
    server.close()
    assert seen == [line for line, _ in script], seen
    try:
        Roost("127.0.0.1", server_port_that_is_closed())
        raise AssertionError("nobody is there")
    except RoostError as error:
        assert error.kind == "connection"


def server_port_that_is_closed():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def main(arguments):
    if arguments == ["--self-test"]:
        self_test()
        print("roost.py: the self-test is passed")
        return 0
    if len(arguments) < 2 or arguments[0].startswith("-"):
        print(__doc__.strip(), file=sys.stderr)
        return 2
    host, _, port = arguments[0].partition(":")
    user = os.environ.get("ROOST_USER", "admin")
    password = os.environ.get("ROOST_PASSWORD", "")
    try:
        with Roost(host, int(port or PORT), user, password) as roost:
            print(json.dumps(roost.run(*arguments[1:])))
    except RoostError as error:
        print("roost.py: %s" % error, file=sys.stderr)
        return {"command": 1, "line": 2, "login": 3, "forbidden": 3}.get(error.kind, 4)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
