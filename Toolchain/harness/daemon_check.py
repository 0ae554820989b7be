"""The acceptance of the daemon: a Linux guest in QEMU whose devices it serves, judged by Debian's own tools.

Called by Toolchain/test. Linux's driver of SCMI devices is in no kernel of Debian's: Toolchain/guest
--modules makes it for one of them, and the device tree compiler dtc tells the guest of the device.
"""

import argparse
import fcntl
import os
import random
import shutil
import signal
import socket
import struct
import sys
import termios
import threading
import time

os.environ.setdefault("VIREO_IMAGE", "")

import guests
import guests_check
import machine
from daemon_machine import QUEUES, START_SECONDS, TAP_ADDRESSES, TAP_MAC, Daemon, DaemonMachine
from guest_machine import stop
from guests_check import SHELL, Checks, require
from vhost_front_end import BUFFER_BYTES, CONFIG_CHANGE, FrontEnd

ROWS = ("root", "features", "queues", "disk", "discard", "trim", "entropy", "download", "gateway",
        "iperf_outside", "tap", "scmi", "console", "terminal", "idle", "privileges", "plugged", "killed",
        "grown", "again", "ended")
# Which bus the front end is on, the ring format, who is behind the network, and what is tried. Passt loses
# what a guest without offloads cannot take at once, so that it is no measure of speed.
RUNS = (("mmio", "split", "qemu", ROWS), ("pci", "packed", "qemu", ROWS),
        ("pci", "packed", "passt", ("root", "download", "gateway", "idle")))
KILLS = 8
IDLE_SECONDS = 3
# The daemons let nobody but root see their memory and their descriptors.
MAY_LOOK_INSIDE = os.geteuid() == 0
CONSOLE_SIZE = 1 << 0  # VIRTIO_CONSOLE_F_SIZE


class Sizes(guests_check.Sizes):
    """Little of each: the front end and its guest are emulated."""

    def __init__(self):
        super().__init__(quick=True)
        self.fio_mebibytes = 8
        self.random_blocks = 100
        self.file_mebibytes = 4
        self.iperf_seconds = 2
        self.killed_mebibytes = 64


class DaemonChecks(Checks):
    """The rows, for a machine with one guest."""

    def start(self):
        """the guest starts and logs in"""
        super().start()

    def root(self):
        """login on hvc0, the daemon's disk is there"""
        shell = self.first.shell
        require(shell.check("cat /sys/class/tty/console/active").strip() == "hvc0", "the console is not hvc0")
        require(shell.check("cat /sys/block/vda/serial").strip() == "vireo-daemon", "vda is another disk")
        return shell.check("uname -r").strip()

    def queues(self):
        """disk and network have a queue, or a pair of them, for each CPU, and all are in use"""
        shell = self.first.shell
        listed = shell.check("ls /sys/block/vda/mq").split()
        require(len(listed) == QUEUES, f"the disk has the queues {listed}")
        listed = shell.check("ls /sys/class/net/eth0/queues").split()
        require(sorted(listed) == [f"{way}-{n}" for way in ("rx", "tx") for n in range(QUEUES)],
                f"the network interface has the queues {listed}")
        for cpu in range(QUEUES):
            shell.check(f"taskset -c {cpu} dd if=/dev/vda2 of=/dev/null bs=64k count=16 iflag=direct")
            shell.check(f"taskset -c {cpu} wget -q -O /dev/null {self.site.file(1)[0]}")
        return f"{QUEUES} each"

    def download(self):
        """a file from outside, with the right SHA-256"""
        return f"{super().download()}, by way of {self.machine.gateway_kind}"

    def gateway(self):
        """the gateway ends and another one takes its place: a file from outside, as before"""
        begun = len(self.machine.network.said())
        self.machine.replace_gateway()
        end = time.monotonic() + START_SECONDS
        while b"connected again" not in self.machine.network.said(begun):
            require(time.monotonic() < end, "the daemon does not connect again")
            time.sleep(0.05)
        return super().download()

    def scmi(self):
        """Linux's SCMI core probes the platform, and its drivers read clocks and sensors of the board"""
        if not self.machine.scmi:
            return "QEMU's front end has split rings only, and not every kernel has the driver"
        shell = self.first.shell
        log = shell.check("dmesg | grep -i scmi")
        require("SCMI Protocol v2.1 'Vireo:table' Firmware version 0x1" in log, f"no platform: {log}")
        clocks = shell.check(f"{SHELL}scmi.sh clocks").split()
        require({"cpu", "uart", "display"} <= set(clocks), f"the clocks are {clocks}")
        for name, rate in (("cpu", 500_000_000), ("uart", 24_000_000), ("display", 74_250_000)):
            line = shell.check(f"{SHELL}scmi.sh clock {name}")
            require(str(rate) in line.split(), f"{name} has another rate: {line}")
        require(shell.check(f"{SHELL}scmi.sh sensor cpu").strip() == "45000", "the sensor reads otherwise")
        return f"{len(clocks)} clocks"

    def tap(self):
        """a tap interface: iperf3 both ways, with segmentation left to this machine"""
        if not self.machine.tap:
            return "not without the right to make one"
        shell, (inner, outer) = self.first.shell, TAP_ADDRESSES
        name = shell.check(f"grep -l {TAP_MAC} /sys/class/net/*/address").split("/")[4]
        shell.check(f"ip address replace {inner}/24 dev {name}; ip link set {name} up")
        shell.check(f"ping -c 3 -W 20 {outer}")
        for offload in ("tcp-segmentation-offload", "rx-checksumming", "tx-checksumming"):
            require(f"{offload}: on" in shell.check(f"ethtool -k {name}"), f"{offload} is off")
        port = self.site.iperf_server()
        where = f"-c {outer} -p {port} -t {self.sizes.iperf_seconds}"
        rates = [self.iperf(where), self.iperf(where + " -R")]
        folder = f"/sys/class/net/{self.machine.tap_name}/statistics/"
        frames, sent = (int(read(folder + counter)) for counter in ("rx_packets", "rx_bytes"))
        require(sent > 2000 * frames, f"{frames} frames of {sent} bytes: the guest cuts its segments itself")
        return ", ".join(rates)

    def console(self):
        """a console: bytes both ways between a front end and a terminal, also to the next that comes"""
        folder = self.machine.folder
        path = os.path.join(folder, "terminal")
        daemon = Daemon(folder, "console", ["console", "--listen", path])
        daemon.start()
        try:
            front_end = FrontEnd(daemon.socket, 2)
            sent = 0
            for _ in range(2):
                sent += talk(path, *front_end.rings)
            front_end.close()
            require(daemon.end() == 0, "the daemon does not end well")
        finally:
            stop(daemon.process)
        return f"{sent} bytes there, and back"

    def terminal(self):
        """a console on a terminal: it tells its size and each change, and leaves the terminal as it was"""
        ours, theirs = os.openpty()
        before = termios.tcgetattr(theirs)
        resize(theirs, 132, 43)
        daemon = Daemon(self.machine.folder, "stdio", ["console"], terminal=theirs)
        try:
            daemon.start()
            require(termios.tcgetattr(theirs) != before, "the terminal keeps its keys to itself")
            front_end = FrontEnd(daemon.socket, 2, CONSOLE_SIZE)
            notices, daemons_end = front_end.take_notices()
            require(front_end.configuration("<HH") == (132, 43), "the console does not tell its size")
            resize(theirs, 80, 24)
            daemon.process.send_signal(signal.SIGWINCH)
            told = struct.unpack("<III", notices.recv(12, socket.MSG_WAITALL))
            require(told == (CONFIG_CHANGE, 1, 0), f"instead of a change the daemon tells {told}")
            require(front_end.configuration("<HH") == (80, 24), "the console keeps its size")
            # A front end that reads nothing more holds nobody up.
            fill(daemons_end)
            resize(theirs, 100, 50)
            daemon.process.send_signal(signal.SIGWINCH)
            self.machine.control.wait(lambda _: front_end.configuration("<HH") == (100, 50), "the next size")
            require(daemon.end() == 0, "the daemon does not end well")
            require(termios.tcgetattr(theirs) == before, "the terminal is not as it was")
        finally:
            stop(daemon.process)
            os.close(ours)
            os.close(theirs)
        return ""

    def idle(self):
        """the daemons sleep while the guest asks for nothing"""
        before = [daemon.processor_seconds() for daemon in self.machine.daemons]
        time.sleep(IDLE_SECONDS)
        for daemon, seconds in zip(self.machine.daemons, before):
            taken = daemon.processor_seconds() - seconds
            require(taken <= IDLE_SECONDS / 10, f"{daemon.name} took {taken:.2f} of {IDLE_SECONDS} seconds")
        return ""

    def privileges(self):
        """the daemons have given up whatever they could"""
        for daemon in self.machine.daemons:
            lines = read(f"/proc/{daemon.process.pid}/status").splitlines()
            status = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
            require(status["NoNewPrivs"] == "1", f"{daemon.name} can get privileges")
            require(status["Seccomp"] == "2", f"{daemon.name} can make every system call")
            for kind in ("CapEff", "CapPrm", "CapInh"):
                require(int(status[kind], 16) == 0, f"{daemon.name} has the capabilities {status[kind]}")
        if not MAY_LOOK_INSIDE:
            return "its io_uring is for root to look at"
        rings = [daemon.limited_rings() for daemon in self.machine.daemons]
        require(sum(rings) > 0, "no daemon has an io_uring")
        return ""

    def plugged(self):
        """memory is plugged while fio runs, the disk reads into it, and it is taken out again"""
        if self.machine.bus != "pci":
            return "not without PCI"
        shell, mebibytes = self.first.shell, 512
        seen = self.machine.daemons if MAY_LOOK_INSIDE else []
        before = [daemon.shared_bytes() for daemon in seen]
        # What only user space has in it can be given back as a whole.
        shell.check("echo online_movable >/sys/devices/system/memory/auto_online_blocks; "
                    "insmod /run/modules/virtio_mem.ko")
        begun = shell.begin(f"{SHELL}killed.sh 4")
        self.machine.plug(mebibytes)
        shell.expect(begun, 900)
        for daemon, size in zip(seen, before):
            require(daemon.shared_bytes() == size + (mebibytes << 20), f"{daemon.name} has not mapped it")
        # More than fits into the memory that was there before.
        read = "dd if=/dev/vda2 bs=480M count=1 iflag=direct,fullblock"
        shell.check(f"{read} | cmp -n $((480 << 20)) - /dev/vda2")
        begun = shell.begin(f"{SHELL}killed.sh 4")
        self.machine.unplug()
        shell.expect(begun, 900)
        for daemon, size in zip(seen, before):
            require(daemon.shared_bytes() == size, f"{daemon.name} still has it mapped")
        return f"{mebibytes} MiB"

    def killed(self):
        """the daemon is killed while fio writes and reads: nothing acknowledged is lost, the guest goes on"""
        disk = self.machine.disk
        begun = self.first.shell.begin(f"{SHELL}killed.sh {self.sizes.killed_mebibytes}")
        done = threading.Event()
        killer = Killer(disk, done)
        killer.start()
        try:
            self.first.shell.expect(begun, 900)
        finally:
            done.set()
            killer.join()
        require(killer.failure is None, f"the daemon does not start again: {killer.failure}")
        require(killer.count >= KILLS, f"fio was over after {killer.count} kills")
        return f"{killer.count} times"

    def grown(self):
        """a file that grew is a larger disk once its daemon is told so, and the guest hears of it"""
        size = os.path.getsize(self.first.disk) + (64 << 20)
        os.truncate(self.first.disk, size)
        self.machine.disk.process.send_signal(signal.SIGHUP)
        waiting = ("for i in $(seq 100); do s=$(blockdev --getsize64 /dev/vda); "
                   f"[ $s != {size} ] || break; sleep 0.2; done; echo $s")
        found = int(self.first.shell.check(waiting))
        require(found == size, f"the guest sees {found} bytes instead of {size}")
        return f"{size >> 20} MiB"

    def again(self):
        """the guest reboots"""
        shell = self.first.shell
        position = self.first.console.position
        self.first.console.send("reboot\n")
        shell.login(position)
        return self.root()

    def ended(self):
        """a daemon that is asked to end while the guest works ends well, and another takes over"""
        begun = self.first.shell.begin(f"{SHELL}killed.sh 4")
        for _ in range(3):
            time.sleep(0.5)
            status = self.machine.disk.end()
            require(status == 0, f"the daemon ended with status {status}")
            self.machine.disk.start()
        self.first.shell.expect(begun, 900)
        return ""


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def resize(terminal, columns, rows):
    """Gives a terminal another size."""
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


def fill(end):
    """Writes to a socket until it takes no more, and lets its writers wait from there on."""
    end.setblocking(False)
    try:
        while True:
            end.send(bytes(4096))
    except BlockingIOError:
        pass
    # The last gap is as small as a notice.
    try:
        while True:
            end.send(bytes(1))
    except BlockingIOError:
        end.setblocking(True)


def talk(path, receive, transmit):
    """Sends random bytes through a console to a terminal and back; returns how many."""
    content = random.Random(1).randbytes(300_000)
    with socket.socket(socket.AF_UNIX) as terminal:
        terminal.settimeout(60)
        terminal.connect(path)
        # This way first: what a console says before there is a terminal is lost.
        for start in range(0, len(content), BUFFER_BYTES):
            part, arrived = content[start:start + BUFFER_BYTES], b""
            terminal.sendall(part)
            while len(arrived) < len(part):
                receive.offer()
                arrived += receive.take()
            require(arrived == part, "the guest got other bytes")
        for start in range(0, len(content), BUFFER_BYTES):
            part, arrived = content[start:start + BUFFER_BYTES], b""
            transmit.offer(part)
            transmit.take()
            while len(arrived) < len(part):
                arrived += terminal.recv(len(part))
            require(arrived == part, "the terminal got other bytes")
    return len(content)


class Killer(threading.Thread):
    """Kills a daemon and starts it again, until it is told to stop."""

    def __init__(self, daemon, done):
        super().__init__(daemon=True)
        self.daemon_process, self.done = daemon, done
        self.count = 0
        self.failure = None
        self.random = random.Random(1)

    def run(self):
        try:
            while not self.done.wait(self.random.uniform(0.1, 0.8)):
                self.daemon_process.kill()
                self.daemon_process.start()
                self.count += 1
        except guests_check.GuestFailure as failure:
            self.failure = failure


def main():
    parser = argparse.ArgumentParser(prog="daemon_check.py", allow_abbrev=False)
    parser.add_argument("--only", default="", help="only the rows whose name contains this")
    parser.add_argument("--rings", choices=("split", "packed"), help="one ring format only")
    parser.add_argument("--kernel", choices=guests.KERNELS, default="6.12", help="the guest's kernel; 6.12")
    parser.add_argument("--verbose", action="store_true", help="show the console")
    options = parser.parse_args()
    if not shutil.which("dtc"):
        print("error: dtc is missing, of the package device-tree-compiler", file=sys.stderr)
        return 1
    try:
        parts = guests.parts(options.kernel, True)
    except machine.InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    started = time.monotonic()
    echo = (lambda name, line: print(f"    {name} | {line}", flush=True)) if options.verbose else None
    table = guests_check.Table()
    for bus, rings, gateway, rows in RUNS:
        if options.rings in (None, rings):
            print(f"\033[1mvirtio-{bus}, {rings} rings, {gateway}'s network\033[0m", flush=True)
            guests_check.run_rows(
                lambda folder: DaemonMachine(
                    parts, folder, bus=bus, rings=rings, gateway=gateway,
                    scmi=parts.has_consumers and rings == "split", echo=echo),
                Sizes(), rings, options.only, table, DaemonChecks, rows)
    print(f"\n{table.passed} passed, {table.failed} failed ({time.monotonic() - started:.0f} s)", flush=True)
    return 0 if table.passed and not table.failed else 1


if __name__ == "__main__":
    sys.exit(main())
