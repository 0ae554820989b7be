"""A Linux guest in an ordinary QEMU, whose devices are daemons of ours: vhost-user."""

import os
import signal
import subprocess
import time

import machine
from guest_console import GuestFailure
from guest_machine import Guest, copy_disk, stop
from machine import quoted

DAEMON = os.environ["VIREO_DAEMON"]
START_SECONDS = 60
# How soon QEMU tries again to reach a daemon that is gone, in milliseconds.
RETRY = 100


class Daemon:
    """One process that serves one device, and can be killed and started again."""

    def __init__(self, folder, name, arguments):
        self.name = name
        self.socket = os.path.join(folder, name + ".socket")
        self.log = os.path.join(folder, name + ".log")
        self.command = [DAEMON, "vhost-user", *arguments, "--socket", self.socket, "--verbose"]
        self.process = None

    def start(self):
        begun = os.path.getsize(self.log) if os.path.exists(self.log) else 0
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        end = time.monotonic() + START_SECONDS
        while b"listening at" not in self.said(begun):
            if self.process.poll() is not None or time.monotonic() > end:
                raise GuestFailure(f"the daemon {self.name} does not listen: {self.said(begun).decode()}")
            time.sleep(0.01)

    def said(self, begun=0):
        """What it wrote to its log."""
        with open(self.log, "rb") as file:
            file.seek(begun)
            return file.read()

    def kill(self):
        """Ends it without any notice. What it has asked of the kernel is over when its socket closes."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def end(self):
        """Asks it to end; returns its exit status."""
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(60)
        except subprocess.TimeoutExpired:
            stop(self.process)
            raise GuestFailure(f"the daemon {self.name} does not end when it is asked to") from None

    @property
    def is_running(self):
        return self.process is not None and self.process.poll() is None


class DaemonMachine:
    """One guest. `bus` is mmio or pci: which transport QEMU puts between the guest and the daemons."""

    has_switch = False

    def __init__(self, parts, folder, bus="mmio", rings="packed", echo=None):
        self.folder, self.echo, self.bus = folder, echo, bus
        self.features = f"packed={'on' if rings == 'packed' else 'off'}"
        disk = copy_disk(parts.disk, os.path.join(folder, "disk"))
        self.guests = [Guest("guest 0", disk)]
        self.kernel = parts.kernel
        self.initrd = parts.with_scripts(os.path.join(folder, "initrd"))
        self.console_path = os.path.join(folder, "console")
        self.disk = Daemon(folder, "disk", ["block", "--file", disk, "--serial", "vireo-daemon"])
        # QEMU's front ends for other devices take no notice of their ring options.
        self.entropy = Daemon(folder, "entropy", ["entropy", "--rings", rings])
        self.daemons = [self.disk, self.entropy]
        self.process = None

    def start(self):
        for daemon in self.daemons:
            daemon.start()
        with open(os.path.join(self.folder, "qemu.log"), "ab") as log:
            self.process = subprocess.Popen(
                self.command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.guests[0].attach(machine.connect(self.console_path, 60), self.echo)

    def command(self):
        suffix = "-pci" if self.bus == "pci" else "-device"
        rom = ",romfile=" if self.bus == "pci" else ""
        return [machine.QEMU, "-M", "virt,gic-version=3,memory-backend=memory", "-cpu", "cortex-a72",
                "-smp", "2", "-m", "512M", "-object", "memory-backend-memfd,id=memory,size=512M,share=on",
                "-nodefaults", "-display", "none", "-monitor", "none",
                "-global", "virtio-mmio.force-legacy=false",
                "-kernel", self.kernel, "-initrd", self.initrd, "-append", "console=hvc0 vireo.guest=0",
                "-chardev", f"socket,id=console,path={quoted(self.console_path)},server=on,wait=off",
                "-device", f"virtio-serial{suffix},{self.features}", "-device", "virtconsole,chardev=console",
                # Of these front ends only that of a disk can come back to a daemon that was away.
                *self.vhost_user("disk", self.disk, "vhost-user-blk", ",num-queues=1",
                                 f",reconnect-ms={RETRY}"),
                *self.vhost_user("entropy", self.entropy, "vhost-user-rng"),
                "-netdev", "user,id=net", "-device", f"virtio-net{suffix},netdev=net,{self.features}{rom}"]

    def vhost_user(self, name, daemon, model, options="", connection=""):
        model += "-pci" if self.bus == "pci" else ""
        return ["-chardev", f"socket,id={name},path={quoted(daemon.socket)}{connection}",
                "-device", f"{model},chardev={name},{self.features}{options}"]

    def stop(self):
        stop(self.process)
        for daemon in self.daemons:
            stop(daemon.process)
        if self.guests[0].console:
            self.guests[0].console.close()

    @property
    def tail(self):
        """The ends of what QEMU and the daemons said."""
        lines = []
        for name in ["qemu", *(daemon.name for daemon in self.daemons)]:
            path = os.path.join(self.folder, name + ".log")
            if os.path.exists(path):
                with open(path, encoding="utf-8", errors="replace") as file:
                    lines += [f"{name}: {line.rstrip()}" for line in file.readlines()[-8:]]
        return lines
