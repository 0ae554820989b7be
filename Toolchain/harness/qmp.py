"""QEMU's control socket: commands and their answers, line by line in JSON."""

import json
import time

import machine


class ControlError(Exception):
    """QEMU refused a command, or did not answer it."""


class Control:
    """A connection to the socket that `-qmp` names."""

    def __init__(self, path, seconds=60):
        self.socket = machine.connect(path, seconds)
        self.lines = self.socket.makefile("rw")
        self.lines.readline()  # the greeting
        self.execute("qmp_capabilities")

    def execute(self, command, **arguments):
        """The answer to a command; what happened meanwhile is passed over."""
        try:
            self.lines.write(json.dumps({"execute": command, "arguments": arguments}) + "\n")
            self.lines.flush()
        except OSError:
            raise ControlError(f"QEMU is not there for {command}") from None
        while True:
            answer = self.receive(command)
            if "error" in answer:
                raise ControlError(f"{command}: {answer['error']['desc']}")
            if "return" in answer:
                return answer["return"]

    def receive(self, command):
        try:
            line = self.lines.readline()
        except OSError:
            line = ""
        if not line:
            raise ControlError(f"QEMU did not answer {command}")
        return json.loads(line)

    def wait(self, condition, what, seconds=300):
        """Waits until `condition` of this connection is true."""
        end = time.monotonic() + seconds
        while not condition(self):
            if time.monotonic() > end:
                raise ControlError(f"{what} takes too long")
            time.sleep(0.1)

    def close(self):
        self.lines.close()
        self.socket.close()
