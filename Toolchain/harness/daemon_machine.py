"""A Linux guest in an ordinary QEMU, whose devices are daemons of ours: vhost-user."""

import ctypes
import errno
import fcntl
import os
import shutil
import signal
import struct
import subprocess
import time

import machine
from guest_console import GuestFailure
from guest_machine import Guest, copy_disk, stop
from machine import quoted
from qmp import Control

DAEMON = os.environ["VIREO_DAEMON"]
START_SECONDS = 60
# Of the disk, and pairs of them of the network interface: one for each CPU.
QUEUES = 2
# An address of the second network interface in the guest, and of its other end, a tap interface here.
TAP_MAC = "52:54:00:12:34:99"
TAP_ADDRESSES = ("198.51.100.2", "198.51.100.1")
TUNSETIFF, IFF_TAP, IFF_NO_PI = 0x400454CA, 0x0002, 0x1000
# How soon QEMU tries again to reach a daemon that is gone, in milliseconds.
RETRY = 100


# System calls that Python has no names for, the same on all architectures, and what one of them is asked for.
IO_URING_REGISTER, PIDFD_GETFD, REGISTER_PROBE = 427, 438, 8
PROBE_BYTES = 16


def can_make_interfaces():
    """Whether this process may make a tap interface and give it an address."""
    if not shutil.which("ip"):
        return False
    try:
        tap = os.open("/dev/net/tun", os.O_RDWR)
    except OSError:
        return False
    try:
        fcntl.ioctl(tap, TUNSETIFF, struct.pack("16sH14x", b"vireo%d", IFF_TAP | IFF_NO_PI))
    except OSError:
        return False
    finally:
        os.close(tap)
    return True


def plugged_bytes(control):
    """What the guest has taken of each piece of memory that was plugged."""
    return [found["data"]["size"] for found in control.execute("query-memory-devices")]


class Daemon:
    """One process that serves one device, and can be killed and started again. `terminal` is its standard
    input and output, if it has one."""

    def __init__(self, folder, name, arguments, terminal=None):
        self.name = name
        self.terminal = terminal
        self.socket = os.path.join(folder, name + ".socket")
        self.log = os.path.join(folder, name + ".log")
        self.command = [DAEMON, "vhost-user", *arguments, "--socket", self.socket, "--verbose"]
        self.process = None

    def start(self):
        begun = os.path.getsize(self.log) if os.path.exists(self.log) else 0
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(self.command, stdin=self.terminal or subprocess.DEVNULL,
                                            stdout=self.terminal or log, stderr=log)
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

    def processor_seconds(self):
        """What it has taken of a processor's time."""
        with open(f"/proc/{self.process.pid}/stat", encoding="utf-8") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def shared_bytes(self):
        """How much of the guest's memory it has mapped."""
        total = 0
        with open(f"/proc/{self.process.pid}/maps", encoding="utf-8") as file:
            for line in file:
                if "/memfd:memory-backend-memfd" in line:
                    first, last = line.split()[0].split("-")
                    total += int(last, 16) - int(first, 16)
        return total

    def limited_rings(self):
        """How many io_urings it has, each of which must refuse what it was not made for: here, to tell what
        it could do.
        """
        calls = ctypes.CDLL(None, use_errno=True)
        files = f"/proc/{self.process.pid}/fd/"
        rings = [int(number) for number in os.listdir(files)
                 if os.readlink(files + number) == "anon_inode:[io_uring]"]
        process = os.pidfd_open(self.process.pid)
        for ring in rings:
            own = calls.syscall(PIDFD_GETFD, process, ring, 0)
            if own < 0:
                raise GuestFailure(f"descriptor {ring} of {self.name}: {os.strerror(ctypes.get_errno())}")
            room = ctypes.create_string_buffer(PROBE_BYTES)
            result = calls.syscall(IO_URING_REGISTER, own, REGISTER_PROBE, room, 0)
            if result >= 0 or ctypes.get_errno() != errno.EACCES:
                raise GuestFailure(f"{self.name} can do anything by io_uring")
            os.close(own)
        os.close(process)
        return len(rings)

    @property
    def is_running(self):
        return self.process is not None and self.process.poll() is None


# What tells Linux that there is a platform behind the SCMI device, and which of its protocols to use.
SCMI_NODE = """
  firmware { scmi {
    compatible = "arm,scmi-virtio"; #address-cells = <1>; #size-cells = <0>;
    protocol@11 { reg = <0x11>; #power-domain-cells = <1>; };
    protocol@14 { reg = <0x14>; #clock-cells = <1>; };
    protocol@15 { reg = <0x15>; };
    protocol@16 { reg = <0x16>; #reset-cells = <1>; };
  }; };
"""


class DaemonMachine:
    """One guest. `bus` is mmio or pci: which transport QEMU puts between the guest and the daemons. `gateway`
    is passt or qemu: whose user network the guest's interface leads to. With `scmi` the guest has an SCMI
    device, for which its kernel needs a driver.

    The root file system is QEMU's own: an emulated processor does not see that another process, such as our
    daemon, has written to memory that it has run code from, and would run the old code.
    """

    has_switch = False

    def __init__(self, parts, folder, bus="mmio", rings="packed", gateway="qemu", scmi=False, echo=None):
        self.folder, self.echo, self.bus = folder, echo, bus
        self.gateway_kind = gateway
        self.features = f"packed={'on' if rings == 'packed' else 'off'}"
        disk = copy_disk(parts.disk, os.path.join(folder, "disk"))
        self.guests = [Guest("guest 0", disk, "virtio" if scmi else None)]
        self.root = parts.disk
        self.kernel = parts.kernel
        self.initrd = parts.with_scripts(os.path.join(folder, "initrd"))
        self.console_path = os.path.join(folder, "console")
        self.control_path = os.path.join(folder, "control")
        self.disk = Daemon(folder, "disk", ["block", "--file", disk, "--serial", "vireo-daemon",
                                            "--queues", str(QUEUES)])
        # QEMU's front ends for other devices take no notice of their ring options.
        self.entropy = Daemon(folder, "entropy", ["entropy", "--rings", rings])
        self.outside = os.path.join(folder, "outside")
        self.network = Daemon(folder, "network", ["network", "--stream", self.outside, "--rings", rings])
        self.daemons = [self.disk, self.entropy, self.network]
        self.tap = None
        if can_make_interfaces():
            self.tap_name = f"vireo{os.getpid() % 100000}"
            self.tap = Daemon(folder, "tap", ["network", "--tap", self.tap_name, "--rings", rings])
            self.daemons.append(self.tap)
        self.scmi = None
        if scmi:
            # QEMU's front end does not know packed rings.
            self.scmi = Daemon(folder, "scmi", ["scmi", "--rings", "split"])
            self.daemons.append(self.scmi)
        self.process = None
        self.gateway = None
        self.control = None

    def start(self):
        self.start_gateway()
        for daemon in self.daemons:
            daemon.start()
        if self.tap:
            for words in (f"address add {TAP_ADDRESSES[1]}/24 dev {self.tap_name}",
                          f"link set {self.tap_name} up"):
                subprocess.run(["ip", *words.split()], check=True)
        tree = ["-dtb", self.tree()] if self.scmi else []
        self.process = self.run("qemu", self.command() + tree)
        self.guests[0].attach(machine.connect(self.console_path, 60), self.echo)
        self.control = Control(self.control_path)

    def start_gateway(self):
        """Passt wants a user namespace of its own, which not every machine lets it have."""
        if self.gateway_kind == "passt" and not self.runs_gateway(self.passt_command()):
            self.gateway_kind = "qemu, as passt does not start"
        if self.gateway_kind != "passt" and not self.runs_gateway(self.qemu_command()):
            raise GuestFailure("there is no gateway for the network")

    def runs_gateway(self, command):
        self.gateway = self.run("gateway", command)
        end = time.monotonic() + START_SECONDS
        while not os.path.exists(self.outside):
            if self.gateway.poll() is not None or time.monotonic() > end:
                stop(self.gateway)
                return False
            time.sleep(0.01)
        return True

    def replace_gateway(self):
        """Ends the gateway, and starts another one in its place."""
        stop(self.gateway)
        if os.path.exists(self.outside):
            os.unlink(self.outside)
        self.start_gateway()

    def plug(self, mebibytes):
        """Gives the guest more memory, on the PCI bus."""
        self.control.execute("object-add", **{"qom-type": "memory-backend-memfd", "id": "more", "share": True,
                                              "size": mebibytes << 20})
        self.control.execute("device_add", driver="virtio-mem-pci", id="plugged", memdev="more", bus="outlet",
                             **{"requested-size": mebibytes << 20})
        self.control.wait(lambda control: plugged_bytes(control) == [mebibytes << 20], "the plugging")

    def unplug(self):
        """Takes that memory away again."""
        self.control.execute("qom-set", path="plugged", property="requested-size", value=0)
        self.control.wait(lambda control: plugged_bytes(control) == [0], "the guest's letting go of memory")
        self.control.execute("device_del", id="plugged")
        self.control.wait(lambda control: plugged_bytes(control) == [], "the unplugging")
        self.control.execute("object-del", id="more")

    def run(self, name, command):
        with open(os.path.join(self.folder, name + ".log"), "ab") as log:
            return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def tree(self):
        """QEMU's device tree with the SCMI node, as a file."""
        path = os.path.join(self.folder, "tree")
        subprocess.run([machine.QEMU, "-M", f"virt,gic-version=3,dumpdtb={path}.dtb", "-cpu", "cortex-a72",
                        "-smp", "2", "-m", "512M", "-nodefaults", "-display", "none"],
                       check=True, stderr=subprocess.DEVNULL)
        source = subprocess.run(["dtc", "-q", "-I", "dtb", "-O", "dts", path + ".dtb"], check=True,
                                stdout=subprocess.PIPE, text=True).stdout
        whole = source.rstrip().removesuffix("};") + SCMI_NODE + "};\n"
        subprocess.run(["dtc", "-q", "-I", "dts", "-O", "dtb", "-o", path + ".dtb"], check=True,
                       input=whole, text=True)
        return path + ".dtb"

    def passt_command(self):
        """Passt with the addresses of QEMU's user network."""
        with open("/proc/net/route", encoding="ascii") as file:
            ways_out = [line.split()[0] for line in file if line.split()[1] == "00000000"]
        # It leaves nothing to others, not even the folder of its socket, unless it may stay who it is.
        return ["passt", "--foreground", "--ipv4-only", "--socket", self.outside, "--address", "10.0.2.15",
                "--netmask", "255.255.255.0", "--gateway", "10.0.2.2",
                "--interface", ways_out[0] if ways_out else "lo",
                "--runas", f"{os.getuid()}:{os.getgid()}"]

    def qemu_command(self):
        """A QEMU without a machine: its user network, for whoever connects."""
        return [machine.QEMU, "-M", "none", "-nodefaults", "-display", "none", "-monitor", "none",
                "-serial", "none", "-netdev", "user,id=user",
                "-netdev", f"stream,id=guest,server=on,addr.type=unix,addr.path={quoted(self.outside)}",
                "-netdev", "hubport,id=inner,hubid=0,netdev=guest",
                "-netdev", "hubport,id=outer,hubid=0,netdev=user"]

    def command(self):
        suffix = "-pci" if self.bus == "pci" else "-device"
        return [machine.QEMU, "-M", "virt,gic-version=3,memory-backend=memory", "-cpu", "cortex-a72",
                "-smp", "2", "-m", "512M,maxmem=2G",
                "-object", "memory-backend-memfd,id=memory,size=512M,share=on",
                "-nodefaults", "-display", "none", "-monitor", "none",
                "-qmp", f"unix:{quoted(self.control_path)},server=on,wait=off",
                *(["-device", "pcie-root-port,id=outlet,chassis=1"] if self.bus == "pci" else []),
                "-global", "virtio-mmio.force-legacy=false",
                "-kernel", self.kernel, "-initrd", self.initrd,
                "-append", "console=hvc0 vireo.guest=0 vireo.root=/dev/vdb1",
                "-chardev", f"socket,id=console,path={quoted(self.console_path)},server=on,wait=off",
                "-device", f"virtio-serial{suffix},{self.features}", "-device", "virtconsole,chardev=console",
                *self.disks(),
                *self.vhost_user("entropy", self.entropy, "vhost-user-rng"),
                *(self.vhost_user("scmi", self.scmi, "vhost-user-scmi", ",packed=off") if self.scmi else []),
                *self.interfaces()]

    def disks(self):
        """The daemon's disk, vda, and the root, vdb."""
        suffix = "-pci" if self.bus == "pci" else "-device"
        # Of QEMU's front ends only that of a disk can come back to a daemon that was away.
        served = self.vhost_user("disk", self.disk, "vhost-user-blk", f",num-queues={QUEUES}",
                                 f",reconnect-ms={RETRY}")
        root = ["-drive", f"if=none,id=root,format=raw,snapshot=on,file={quoted(self.root)}",
                "-device", f"virtio-blk{suffix},drive=root,{self.features}"]
        return self.in_order(served, root)

    def interfaces(self):
        """The network interfaces; eth0 leads out."""
        outer = self.interface("network", self.network)
        inner = self.interface("tap", self.tap, f",mac={TAP_MAC}") if self.tap else []
        return self.in_order(outer, inner)

    def in_order(self, first, second):
        """Linux finds what is on virtio-mmio the last one first."""
        return second + first if self.bus == "mmio" else first + second

    def interface(self, name, daemon, options=""):
        suffix = "-pci" if self.bus == "pci" else "-device"
        rom = ",romfile=" if self.bus == "pci" else ""
        return ["-chardev", f"socket,id={name},path={quoted(daemon.socket)}",
                "-netdev", f"vhost-user,id=net-{name},chardev={name},queues={QUEUES}",
                "-device", f"virtio-net{suffix},netdev=net-{name},mq=on,{self.features}{rom}{options}"]

    def vhost_user(self, name, daemon, model, options="", connection=""):
        model += "-pci" if self.bus == "pci" else ""
        return ["-chardev", f"socket,id={name},path={quoted(daemon.socket)}{connection}",
                "-device", f"{model},chardev={name},{self.features}{options}"]

    def stop(self):
        if self.control:
            self.control.close()
        stop(self.process)
        stop(self.gateway)
        for daemon in self.daemons:
            stop(daemon.process)
        if self.guests[0].console:
            self.guests[0].console.close()

    @property
    def tail(self):
        """The ends of what QEMU and the daemons said."""
        lines = []
        for name in ["qemu", "gateway", *(daemon.name for daemon in self.daemons)]:
            path = os.path.join(self.folder, name + ".log")
            if os.path.exists(path):
                with open(path, encoding="utf-8", errors="replace") as file:
                    lines += [f"{name}: {line.rstrip()}" for line in file.readlines()[-8:]]
        return lines
