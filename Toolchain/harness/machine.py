"""One run of an image in QEMU: the devices, the console, the end."""

import os
import re
import shlex
import signal
import socket
import subprocess
import threading
import time

QEMU = os.environ["VIREO_QEMU"]
IMAGE = os.environ["VIREO_IMAGE"]
RESULT = re.compile(rb"^vireo: ([a-z0-9.]+)=(.*)$")


class InputError(Exception):
    """Something given on the command line cannot be used; the text says what."""


def check_disk(path):
    """A raw disk image is a whole number of sectors, and at least one."""
    try:
        size = os.path.getsize(path)
    except OSError as error:
        raise InputError(f"the disk {path} cannot be read: {error.strerror}") from error
    if size == 0 or size % 512 != 0:
        raise InputError(f"the disk {path} has {size} bytes, which is not a whole number of 512-byte sectors")


class Rings:
    """What every device offers besides its own features."""

    def __init__(self, packed=False, in_order=False, event_idx=True):
        self.packed, self.in_order, self.event_idx = packed, in_order, event_idx

    @property
    def name(self):
        parts = ["packed" if self.packed else "split"]
        parts += ["in-order"] if self.in_order else []
        parts += ["event-idx"] if self.event_idx else []
        return " ".join(parts)

    @property
    def options(self):
        def state(value):
            return "on" if value else "off"
        return (f"packed={state(self.packed)},in_order={state(self.in_order)},"
                f"event_idx={state(self.event_idx)}")

    @property
    def boot_options(self):
        format_option = [] if self.packed else ["split"]
        return " ".join(format_option + [f"inorder={int(self.in_order)}", f"eventidx={int(self.event_idx)}"])

    def mismatch(self, features):
        """What negotiated features say against these, or an empty text."""
        for name, bit, wanted in (("RING_PACKED", 34, self.packed), ("IN_ORDER", 35, self.in_order),
                                  ("EVENT_IDX", 29, self.event_idx), ("VERSION_1", 32, True)):
            if bool(features >> bit & 1) != wanted:
                return f"{name} is {'on' if not wanted else 'off'}"
        return ""


def base_command(image, append="", machine=""):
    command = [QEMU, "-M", "virt,gic-version=3" + machine, "-cpu", "cortex-a72", "-m", "128M", "-nodefaults",
               "-display", "none", "-no-reboot", "-semihosting", "-global", "virtio-mmio.force-legacy=false",
               "-kernel", image]
    return command + (["-append", append] if append else [])


def block(path, rings, snapshot=False):
    mode = ",snapshot=on" if snapshot else ""
    return ["-drive", f"if=none,id=disk,format=raw,file={quoted(path)}{mode}",
            "-device", f"virtio-blk-device,drive=disk,num-queues=1,{rings.options}"]


def network(folder, rings):
    return ["-netdev", f"user,id=net,tftp={quoted(folder)},bootfile=vireo-boot.bin",
            "-device", f"virtio-net-device,netdev=net,{rings.options}"]


def entropy(path, rings):
    source = f"rng-random,id=rng,filename={quoted(path)}" if path else "rng-builtin,id=rng"
    return ["-object", source, "-device", f"virtio-rng-device,rng=rng,{rings.options}"]


def console(console_socket, port_socket, rings):
    return ["-chardev", f"socket,id=console,path={quoted(console_socket)},server=on,wait=off",
            "-chardev", f"socket,id=port,path={quoted(port_socket)},server=on,wait=off",
            "-device", f"virtio-serial-device,max_ports=3,{rings.options}",
            "-device", "virtconsole,chardev=console",
            "-device", "virtserialport,chardev=port,name=vireo.echo"]


def quoted(path):
    """A path within a QEMU option."""
    return path.replace(",", ",,")


def connect(path, seconds=10):
    """A socket that QEMU serves, which may not be there yet."""
    end = time.monotonic() + seconds
    while True:
        connection = socket.socket(socket.AF_UNIX)
        try:
            connection.connect(path)
            connection.settimeout(60)
            return connection
        except OSError:
            connection.close()
            if time.monotonic() > end:
                raise
            time.sleep(0.02)


class Run:
    """A QEMU whose serial console is read line by line until it ends or the time is up."""

    def __init__(self, command, symbols, seconds, on_start=None, on_line=None, echo=None):
        self.command = command
        self.symbols = symbols
        self.seconds = seconds
        self.on_start = on_start or (lambda run: None)
        self.on_line = on_line or (lambda run, line: None)
        self.echo = echo or (lambda line: None)
        self.lines = []
        self.timed_out = False

    def execute(self):
        """Runs to the end; returns QEMU's exit status, negative for a signal."""
        self.process = subprocess.Popen(
            self.command + ["-serial", "stdio", "-monitor", "none"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        timer = threading.Timer(self.seconds, self.give_up)
        timer.start()
        try:
            self.on_start(self)
            for line in self.process.stdout:
                self.take(line.rstrip(b"\r\n"))
            return self.process.wait()
        finally:
            timer.cancel()
            if self.process.poll() is None:
                self.process.kill()
                self.process.wait()
            self.process.stdin.close()
            self.process.stdout.close()

    def give_up(self):
        self.timed_out = True
        self.process.send_signal(signal.SIGKILL)

    def take(self, line):
        for text in [line] + self.symbols.explain(line):
            self.lines.append(text.decode("utf-8", "replace"))
            self.echo(self.lines[-1])
        self.on_line(self, line)

    def type(self, text):
        """Types on the serial console."""
        self.process.stdin.write(text.encode())
        self.process.stdin.flush()

    @property
    def results(self):
        """The result lines: (key, value) in their order."""
        matches = [RESULT.match(line.encode()) for line in self.lines]
        return [(m.group(1).decode(), m.group(2).decode()) for m in matches if m]

    @property
    def command_line(self):
        return shlex.join(self.command)
