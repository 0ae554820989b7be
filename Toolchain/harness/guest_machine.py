"""Machines with Linux guests: Vireo's guest host, and for comparison QEMU's own devices without Vireo."""

import os
import shutil
import subprocess

import guest_image
import machine
from guest_console import Console, GuestFailure, Shell
from machine import quoted

SCRIPTS = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "guest-files", "check")
KERNEL_ADDRESS = 0x5000_0000
INITRD_ADDRESS = 0x5800_0000
# How guests reach their SCMI platform.
SCMI = {"hvc": ["hvc"] * 4, "virtio": ["virtio"] * 4, "mixed": ["hvc", "virtio"] * 2}
PREFIX = "\x14"  # Ctrl-T, after which a key is for the host


class Parts:
    """What the guests are made of, from Toolchain/guest."""

    def __init__(self, options=(), kernel=None):
        command = [os.path.join(os.environ["VIREO_TOP"], "Toolchain", "guest"), *options]
        try:
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        except subprocess.CalledProcessError as error:
            raise machine.InputError("the parts of the guest could not be had") from error
        parts = dict(line.split("=", 1) for line in done.stdout.splitlines())
        self.kernel, self.initrd, self.disk = parts["kernel"], parts["initrd"], parts["disk"]
        self.has_consumers = not {"--modules", "--build"}.isdisjoint(options)
        if kernel:
            check_kernel(kernel)
            self.kernel = kernel

    def with_scripts(self, path):
        """The initial RAM disk with the scripts of the tests, as a file at `path`."""
        shutil.copyfile(self.initrd, path)
        with open(path, "ab") as file:
            archive = guest_image.Archive(file)
            for script in guest_image.files_of(SCRIPTS):
                archive.put("vireo/" + script.name, script.read_bytes())
            archive.end()
        return path


def check_kernel(path):
    try:
        with open(path, "rb") as file:
            magic = file.read(64)[56:60]
    except OSError as error:
        raise machine.InputError(f"the kernel {path} cannot be read: {error.strerror}") from error
    if magic != b"ARM\x64":
        raise machine.InputError(f"{path} is no uncompressed Linux image for arm64")


def copy_disk(source, path):
    """A copy of a sparse file that is as sparse."""
    subprocess.run(["cp", "--sparse=always", "--reflink=auto", source, path], check=True)
    return path


class Guest:
    """One guest of a machine: its console, its shell and its disk."""

    def __init__(self, name, disk, scmi=None):
        self.name, self.disk, self.scmi = name, disk, scmi
        self.console = None
        self.shell = None

    def attach(self, connection, echo):
        self.console = Console(connection, self.name, echo)
        self.shell = Shell(self.console)

    def address(self):
        """The guest's address on the network, when it has one."""
        command = "ip -4 -o address show dev eth0 scope global | sed 's/.*inet //;s,/.*,,'"
        waiting = f"for i in $(seq 60); do a=$({command}); [ -z \"$a\" ] || break; sleep 1; done; echo $a"
        address = self.shell.check(waiting, 600).strip()
        if not address:
            raise GuestFailure(f"{self.name} got no address")
        return address


class GuestHost:
    """The guest host in one QEMU; each guest's console is a port of the hardware console."""

    has_switch = True

    def __init__(self, parts, folder, guests=2, cores=4, rings="packed", scmi="hvc", echo=None,
                 options=""):
        self.folder, self.echo, self.scmi = folder, echo, scmi
        self.has_consumers = parts.has_consumers
        self.guests = [Guest(f"guest {number}", copy_disk(parts.disk, os.path.join(folder, f"disk{number}")),
                             SCMI[scmi][number]) for number in range(guests)]
        initrd = parts.with_scripts(os.path.join(folder, "initrd"))
        append = host_options(parts.kernel, initrd, guests, rings, scmi) + options
        self.control_path = os.path.join(folder, "control")
        self.command = host_command(parts.kernel, initrd, append, cores, guests) + [
            "-serial", f"unix:{quoted(self.control_path)},server=on,wait=off", "-monitor", "none",
            "-display", "none"]
        for number, guest in enumerate(self.guests):
            self.command += drive(f"disk{number}", guest.disk)
        self.command += host_network()
        self.paths = {name: os.path.join(folder, name)
                      for number in range(guests) for name in (f"vireo.{number}", f"vireo.{number}.1")}
        self.command += host_consoles(self.paths)
        self.process = None
        self.control = None
        self.off_position = 0

    def start(self):
        log = open(os.path.join(self.folder, "qemu.log"), "ab")
        self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        log.close()
        self.control = Console(machine.connect(self.control_path, 60), "host", self.echo)
        for number, guest in enumerate(self.guests):
            guest.attach(machine.connect(self.paths[f"vireo.{number}"], 60), self.echo)

    def order(self, number, key):
        """Types an order about a guest on the host's console; returns where the answer begins."""
        position = self.control.position
        self.control.send(f"{PREFIX}{number}{PREFIX}{key}")
        return position

    def wait_off(self, number):
        """Waits until a guest has powered off."""
        self.control.wait(rf"vireo: guest {number} powered off", 600, self.off_position)

    def restart(self, number):
        """Starts a guest whatever state it is in; returns where its new output begins."""
        guest = self.guests[number]
        console = guest.console.position
        position = self.order(number, "r")
        self.off_position = self.control.wait(rf"vireo: guest {number} restarts", 600, position).end()
        return console

    def connect_port(self, number):
        """The other end of a guest's second console port."""
        return machine.connect(self.paths[f"vireo.{number}.1"], 60)

    def stop(self):
        stop(self.process)
        for part in [self.control] + [guest.console for guest in self.guests]:
            if part:
                part.close()

    @property
    def tail(self):
        return self.control.tail() if self.control else []


def host_options(kernel, initrd, guests, rings, scmi):
    options = (f"guests={guests} kernel={os.path.getsize(kernel)} initrd={os.path.getsize(initrd)} "
               f"rings={rings}")
    devices = ",".join(str(int(way == "virtio")) for way in SCMI[scmi])
    return f"{options} scmi-device={devices}"


def host_command(kernel, initrd, append, cores, guests):
    """The guest host with its guests' kernel and initial RAM disk; consoles and devices are still missing."""
    # 512 MiB for the host and what is loaded, and as many for each guest.
    mebibytes = max(2048, 512 * (1 + guests))
    command = [machine.QEMU, "-M", "virt,virtualization=on,gic-version=3", "-cpu", "cortex-a72",
               "-smp", str(cores), "-m", f"{mebibytes}M", "-nodefaults", "-semihosting",
               "-global", "virtio-mmio.force-legacy=false",
               "-kernel", machine.IMAGE + ".img", "-append", append]
    for path, address in ((kernel, KERNEL_ADDRESS), (initrd, INITRD_ADDRESS)):
        command += ["-device", f"loader,file={quoted(path)},addr={address:#x},force-raw=on"]
    return command


def drive(name, path, mode=""):
    return ["-drive", f"if=none,id={name},format=raw,discard=unmap,detect-zeroes=off,"
            f"file={quoted(path)}{mode}", "-device", f"virtio-blk-device,drive={name}"]


def host_network(features=""):
    """The hardware's one network interface, and its source of entropy."""
    return ["-netdev", "user,id=net", "-device", f"virtio-net-device,netdev=net{features}",
            "-object", "rng-random,id=rng,filename=/dev/urandom",
            "-device", f"virtio-rng-device,rng=rng{features}"]


def host_consoles(paths):
    """The hardware console: ports by name, each served as a socket."""
    command = ["-device", f"virtio-serial-device,max_ports={len(paths) + 1}"]
    for name, path in paths.items():
        identifier = name.replace(".", "-")
        command += ["-chardev", f"socket,id={identifier},path={quoted(path)},server=on,wait=off",
                    "-device", f"virtserialport,chardev={identifier},name={name}"]
    return command


class Reference:
    """The same guests on QEMU's own devices, each in a QEMU of its own, without a network between them."""

    has_switch = False
    has_consumers = False
    scmi = None

    def __init__(self, parts, folder, guests=2, cores=3, rings="packed", scmi=None, echo=None):
        self.folder, self.echo, self.rings = folder, echo, rings
        self.kernel = parts.kernel
        self.initrd = parts.with_scripts(os.path.join(folder, "initrd"))
        self.guests = [Guest(f"guest {number}", copy_disk(parts.disk, os.path.join(folder, f"disk{number}")))
                       for number in range(guests)]
        self.cores = [cores - guests + 1] + [1] * (guests - 1)
        self.processes = [None] * guests

    def start(self):
        for number in range(len(self.guests)):
            self.start_guest(number)

    def board(self, number):
        """QEMU with the cores and the memory of a guest."""
        return [machine.QEMU, "-M", "virt,gic-version=3", "-cpu", "cortex-a72", "-m", "512M",
                "-smp", str(self.cores[number])]

    def more(self, number):
        """What else QEMU is told about a guest."""
        return []

    def start_guest(self, number):
        guest = self.guests[number]
        path, port = (os.path.join(self.folder, f"{kind}{number}") for kind in ("console", "port"))
        for old in (path, port):
            if os.path.exists(old):
                os.remove(old)
        features = f"packed={'on' if self.rings == 'packed' else 'off'}"
        command = self.board(number) + [
            "-nodefaults", "-display", "none", "-monitor", "none",
            "-global", "virtio-mmio.force-legacy=false",
            "-kernel", self.kernel, "-initrd", self.initrd,
            "-append", f"console=hvc0 vireo.guest={number}",
            "-chardev", f"socket,id=console,path={quoted(path)},server=on,wait=off",
            "-chardev", f"socket,id=port,path={quoted(port)},server=on,wait=off",
            "-device", f"virtio-serial-device,{features}", "-device", "virtconsole,chardev=console",
            "-device", "virtserialport,chardev=port,name=vireo.1"]
        command += drive("disk", guest.disk)
        command[-1] += "," + features
        command += host_network(f",{features}") + self.more(number)
        log = open(os.path.join(self.folder, f"qemu{number}.log"), "ab")
        self.processes[number] = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        log.close()
        guest.attach(machine.connect(path, 60), self.echo)

    def connect_port(self, number):
        """The other end of a guest's second console port."""
        return machine.connect(os.path.join(self.folder, f"port{number}"), 60)

    def wait_off(self, number):
        """Waits until a guest has powered off."""
        try:
            self.processes[number].wait(600)
        except subprocess.TimeoutExpired as error:
            raise GuestFailure(f"guest {number} does not power off") from error

    def restart(self, number):
        """Starts a guest whatever state it is in; returns where its new output begins."""
        stop(self.processes[number])
        self.guests[number].console.close()
        self.start_guest(number)
        return 0

    def stop(self):
        for process in self.processes:
            stop(process)
        for guest in self.guests:
            if guest.console:
                guest.console.close()

    @property
    def tail(self):
        return []


def stop(process):
    if process and process.poll() is None:
        process.kill()
    if process:
        process.wait()
