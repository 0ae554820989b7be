"""A guest's console as a test uses it: text that was seen, and commands of a shell with their exit status."""

import re
import socket
import threading
import time

LOGIN_SECONDS = 600  # two seconds are usual on an idle machine
TAIL_LINES = 25


class GuestFailure(Exception):
    """A guest did not do what was expected; the text says what."""


class Console:
    """Collects what a guest prints, and types."""

    def __init__(self, connection, name, echo=None):
        self.connection = connection
        self.name = name
        self.echo = echo
        self.text = bytearray()
        self.changed = threading.Condition()
        self.closed = False
        connection.settimeout(None)
        threading.Thread(target=self.collect, daemon=True).start()

    def collect(self):
        line = b""
        while True:
            try:
                data = self.connection.recv(65536)
            except OSError:
                data = b""
            with self.changed:
                self.text += data
                self.closed = not data
                self.changed.notify_all()
            if self.echo:
                *lines, line = (line + data).split(b"\n")
                for whole in lines:
                    self.echo(self.name, whole.decode(errors="replace").rstrip())
            if not data:
                return

    @property
    def position(self):
        with self.changed:
            return len(self.text)

    def send(self, text):
        try:
            self.connection.sendall(text.encode())
        except OSError as error:
            raise GuestFailure(f"{self.name}: its console is closed: {error.strerror}") from error

    def wait(self, pattern, seconds, start=0):
        """The first match of a pattern behind `start`."""
        expression = re.compile(pattern.encode())
        end = time.monotonic() + seconds
        with self.changed:
            while True:
                match = expression.search(self.text, start)
                if match:
                    return match
                left = end - time.monotonic()
                if self.closed:
                    raise GuestFailure(f"{self.name}: the console ended before {pattern!r}")
                if left <= 0:
                    raise GuestFailure(f"{self.name}: no {pattern!r} within {seconds} seconds")
                self.changed.wait(left)

    def since(self, start):
        with self.changed:
            return self.text[start:].decode(errors="replace").replace("\r", "")

    def tail(self, lines=TAIL_LINES):
        return self.since(0).splitlines()[-lines:]

    def close(self):
        try:
            self.connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.connection.close()


class Shell:
    """The shell behind a console."""

    PROMPT = r"guest\d*:[^\r\n]*# |initrd# "

    def __init__(self, console):
        self.console = console
        self.number = 0

    def login(self, start=0, seconds=LOGIN_SECONDS):
        """Waits for the prompt of a guest that has just been started, and quiets its shell."""
        self.console.wait(self.PROMPT, seconds, start)
        # Without line editing nothing but the output of commands appears.
        self.console.send("exec /usr/bin/env PS1= PS2= TERM=dumb /bin/sh\n")
        self.console.send("stty -echo\n")
        self.run("true", 120)

    def begin(self, command):
        """Starts a command; returns what `finish` needs."""
        self.number += 1
        start = self.console.position
        self.console.send(f"{command}\nprintf 'VIREO-%d-%d\\n' {self.number} $?\n")
        return command, self.number, start

    def finish(self, begun, seconds):
        """The exit status and the output of a command."""
        command, number, start = begun
        try:
            match = self.console.wait(rf"VIREO-{number}-(\d+)\r?\n", seconds, start)
        except GuestFailure as failure:
            raise GuestFailure(f"{self.console.name}: `{command}` did not end: {failure}") from failure
        output = bytes(self.console.text[start:match.start()]).decode(errors="replace").replace("\r", "")
        return int(match.group(1)), output

    def run(self, command, seconds=300):
        return self.finish(self.begin(command), seconds)

    def check(self, command, seconds=300):
        """The output of a command that has to succeed."""
        return self.expect(self.begin(command), seconds)

    def expect(self, begun, seconds=300):
        status, output = self.finish(begun, seconds)
        if status != 0:
            raise GuestFailure(f"{self.console.name}: `{begun[0]}` ended with status {status}")
        return output
