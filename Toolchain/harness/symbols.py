"""Source lines for the addresses in an exception report of an image.

The image prints one line `#N pc=0x...` for each call; below each, the functions and lines are added that the
image's debug information knows, inlined calls included.
"""

import os
import re
import subprocess
import sys

CALL = re.compile(rb"#\d+ pc=0x([0-9a-f]{16})")


class Symbols:
    def __init__(self, elf, toolchain, top):
        self.elf = elf
        self.toolchain = toolchain
        self.top = top + "/"

    def explain(self, line):
        """The lines to print below `line` of the console, as bytes; none for most lines."""
        match = CALL.search(line)
        if not match:
            return []
        frames = self.frames(match.group(1).decode())
        return [b"        " + frame.encode() for frame in frames]

    def frames(self, address):
        command = [os.path.join(self.toolchain, "llvm-symbolizer"), "--obj", self.elf, "0x" + address]
        text = self.output(command, "")
        lines = [line for line in text.splitlines() if line]
        names = self.output([os.path.join(self.toolchain, "swift"), "demangle", "--simplified"],
                            "\n".join(lines[0::2])).splitlines()
        frames = []
        for name, place in zip(names, lines[1::2]):
            if name.startswith("Swift runtime failure"):
                frames.append(name)
                continue
            file, _, position = place.partition(":")
            row = position.split(":")[0]
            if "<compiler-generated>" in file or row in ("", "0"):
                continue
            name = name.removeprefix("specialized ").removeprefix("static ")
            frames.append(f"{name} at {file.removeprefix(self.top)}:{row}")
        return frames

    @staticmethod
    def output(command, text):
        try:
            done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=30, check=True)
        except (OSError, subprocess.SubprocessError):
            return ""
        return done.stdout


def filter_console(source, symbols):
    """Passes bytes on as they come, and adds the source lines below the calls of a backtrace."""
    line = b""
    while chunk := os.read(source, 4096):
        for piece in chunk.splitlines(keepends=True):
            sys.stdout.buffer.write(piece)
            line += piece
            if line.endswith(b"\n"):
                for text in symbols.explain(line):
                    sys.stdout.buffer.write(text + b"\r\n")
                line = b""
        sys.stdout.buffer.flush()
