"""The acceptance of the guest host: real Linux guests, judged by Debian's own tools and by what this machine
knows of its side. Each row is one check; a row that fails says why and shows the ends of the consoles.
"""

import os
import re
import shutil
import tempfile
import threading
import time

import guest_image
import truth
from guest_console import GuestFailure
from guest_control import ControlRows
from guest_host_side import Site
from qmp import ControlError

SHELL = "sh /run/vireo/"
PACKED_BIT, VERSION_BIT = 34, 32
DRIVERS = {1: "virtio_net", 2: "virtio_blk", 3: "virtio_console", 4: "virtio_rng"}


def require(condition, text):
    if not condition:
        raise GuestFailure(text)


class Sizes:
    """How much each check does; the quick ones are for every submission."""

    def __init__(self, quick):
        self.fio_mebibytes = 16 if quick else 128
        self.random_blocks = 200 if quick else 1000
        self.iperf_seconds = 3 if quick else 10
        self.file_mebibytes = 8 if quick else 64
        self.port_bytes = 20_001 if quick else 300_001
        self.synced_files = 8 if quick else 40
        self.traffic_rounds = 2 if quick else 5


class Checks(ControlRows):
    """The rows, for a machine with two guests."""

    def __init__(self, machine, site, sizes, rings):
        self.machine, self.site, self.sizes, self.rings = machine, site, sizes, rings
        self.first, self.second = machine.guests[0], machine.guests[-1]

    def start(self):
        """both guests start and log in"""
        self.machine.start()
        for guest in self.machine.guests:
            guest.shell.login()

    # --- Devices ---

    def root(self):
        """login on hvc0, root file system on virtio-blk"""
        for guest in self.machine.guests:
            require(guest.shell.check("cat /sys/class/tty/console/active").strip() == "hvc0",
                    f"the console of {guest.name} is not hvc0")
            require("/dev/vda1 ext4" in guest.shell.check("findmnt -n -o SOURCE,FSTYPE /").replace("  ", " "),
                    f"the root of {guest.name} is not /dev/vda1")
        return self.first.shell.check("uname -r").strip()

    def features(self):
        """every device runs Linux's driver, with the ring format that was asked for"""
        for guest in self.machine.guests:
            listed = guest.shell.check(
                "for d in /sys/bus/virtio/devices/*; do "
                "echo $(cat $d/device) $(basename $(readlink $d/driver)) $(cat $d/features); done")
            rows = [line.split() for line in listed.splitlines()]
            wanted = DRIVERS | ({32: "scmi-virtio"} if guest.scmi == "virtio" else {})
            require({int(row[0], 16): row[1] for row in rows} == wanted,
                    f"{guest.name} has other devices or drivers: {rows}")
            for kind, driver, bits in rows:
                require(bits[VERSION_BIT] == "1", f"{driver} has no VERSION_1")
                require(bits[PACKED_BIT] == str(int(self.rings == "packed")),
                        f"{driver} has RING_PACKED {bits[PACKED_BIT]}")
        return self.rings

    def cores(self):
        """a guest of two CPUs, both at work, with interrupts between them"""
        shell = self.first.shell
        require(shell.check("nproc").strip() == "2", "the first guest has not two CPUs")
        before = rescheduled(shell)
        busy = "i=0; while [ $i -lt 20000 ]; do i=$((i + 1)); done"
        shell.check(f"for n in 0 1; do taskset -c $n sh -c '{busy}' & done; wait")
        shell.check("for n in 1 2 3 4 5; do taskset -c 0 echo a | taskset -c 1 cat; done")
        after = rescheduled(shell)
        require(len(after) == 2 and all(a > b for a, b in zip(after, before)),
                f"not every CPU got interrupts of the other: {before}, {after}")
        return ""

    # --- Disk ---

    def disk(self):
        """mkfs, mount, fio with verification, e2fsck"""
        self.first.shell.check(SHELL + f"disk.sh {self.sizes.fio_mebibytes}", 3600)
        return f"{self.sizes.fio_mebibytes} MiB"

    def discard(self):
        """blkdiscard and zeroing reach the hardware disk, and nothing beside them changes"""
        output = self.first.shell.check(SHELL + "discard.sh", 1200)
        hashes = dict(re.findall(r"(before|after)=([0-9a-f]{64})", output))
        mebibyte = guest_image.MEBIBYTE
        with open(self.first.disk, "rb") as file:
            file.seek(guest_image.SCRATCH_START + 64 * mebibyte)
            data = file.read(24 * mebibyte)
        require(not any(data[8 * mebibyte:20 * mebibyte]), "the hardware disk has data where it was dropped")
        for name, start, size in (("before", 0, 8), ("after", 20, 4)):
            part = data[start * mebibyte:(start + size) * mebibyte]
            require(hashes[name] == self.site.sha256(part),
                    f"the hardware disk has other data {name} the range than the guest wrote")
        return ""

    def trim(self):
        """fstrim gives blocks back on the hardware disk"""
        self.first.shell.check(SHELL + "trim.sh fill", 1200)
        full = os.stat(self.first.disk).st_blocks
        self.first.shell.check(SHELL + "trim.sh trim", 1200)
        freed = (full - os.stat(self.first.disk).st_blocks) * 512 // guest_image.MEBIBYTE
        require(freed >= 90, f"{freed} MiB came back, of 96")
        return f"{freed} MiB"

    def power_cut(self):
        """sudden power-off during writes: what was synced is whole, e2fsck finds nothing"""
        guest = self.first
        start = guest.console.position
        guest.shell.check(f"{SHELL}writer.sh &")
        deadline = time.monotonic() + 1200
        while len(synced(guest, start)) < self.sizes.synced_files:
            require(time.monotonic() < deadline, "the guest syncs too few files")
            time.sleep(0.2)
        guest.console.send("echo o >/proc/sysrq-trigger\n")
        self.machine.wait_off(0)
        names = synced(guest, start)
        self.revive(0)
        for batch in range(0, len(names), 8):
            guest.shell.check(SHELL + "verify.sh " + " ".join(names[batch:batch + 8]), 1200)
        return f"{len(names)} files"

    # --- Entropy, network, console ---

    def entropy(self):
        """rngtest on the virtio generator"""
        output = self.second.shell.check(SHELL + f"entropy.sh {self.sizes.random_blocks}", 1200)
        return f"{re.search(r'failures: ([0-9]+)', output).group(1)} failures of {self.sizes.random_blocks}"

    def address(self):
        """an address by DHCP through the uplink, and the guests reach each other"""
        addresses = self.addresses()
        if not self.machine.has_switch:
            return "not without a switch"
        require(addresses[0] != addresses[1], f"both guests have {addresses[0]}")
        self.first.shell.check(f"ping -c 3 -W 20 {addresses[1]}", 300)
        return " ".join(addresses)

    def ports(self):
        """multiport console: data both ways at a second port, while the first is in use"""
        for number, guest in enumerate(self.machine.guests):
            found = guest.shell.check("grep -l '^vireo[.]1$' /sys/class/virtio-ports/*/name").split("/")[4]
            sent = truth.content(f"to guest {number}", self.sizes.port_bytes)
            begun = guest.shell.begin(
                f"head -c {len(sent)} /dev/{found} >/run/received; sha256sum /run/received; "
                f"cat /run/received /run/received >/dev/{found}")
            with self.machine.connect_port(number) as port:
                threading.Thread(target=send, args=(port, sent), daemon=True).start()
                received = receive(port, 2 * len(sent))
            require(guest.shell.expect(begun, 900).split()[0] == self.site.sha256(sent),
                    f"{guest.name} got other bytes than were sent")
            require(received == sent + sent, f"other bytes came from {guest.name} than it sent")
        return f"{self.sizes.port_bytes} bytes there, twice as many back, for each guest"

    def addresses(self):
        return [guest.address() for guest in self.machine.guests]

    def download(self):
        """a file from outside, with the right SHA-256, by both guests at once"""
        self.addresses()
        url, digest = self.site.file(self.sizes.file_mebibytes)
        begun = [guest.shell.begin(f"wget -q -O - {url} | sha256sum") for guest in self.machine.guests]
        for guest, command in zip(self.machine.guests, begun):
            require(guest.shell.expect(command, 1800).split()[0] == digest, f"{guest.name} got other bytes")
        return f"{self.sizes.file_mebibytes} MiB"

    def iperf_guests(self):
        """iperf3 between the guests, both directions and UDP"""
        if not self.machine.has_switch:
            return "not without a switch"
        self.second.shell.check("pkill iperf3; iperf3 -s -D >/dev/null")
        address, seconds = self.addresses()[1], self.sizes.iperf_seconds
        rates = [self.iperf(f"-c {address} -t {seconds}"), self.iperf(f"-c {address} -t {seconds} -R"),
                 self.iperf(f"-c {address} -t {seconds} -u -b 20M")]
        self.second.shell.check("pkill iperf3; true")
        return ", ".join(rates)

    def iperf_outside(self):
        """iperf3 to a server outside, both directions"""
        self.addresses()
        port = self.site.iperf_server()
        where = f"-c {self.site.address} -p {port} -t {self.sizes.iperf_seconds}"
        return ", ".join([self.iperf(where), self.iperf(where + " -R")])

    def iperf(self, arguments):
        """The rate that iperf3 of the first guest reports."""
        output = self.first.shell.check(f"iperf3 -f m {arguments}", 900)
        found = re.findall(r"([\d.]+) Mbits/sec.*receiver", output)
        require(found and float(found[-1]) > 0, f"iperf3 {arguments} moved nothing")
        return f"{float(found[-1]):.0f} Mbit/s"

    def offloads(self):
        """every changeable offload toggled by ethtool, data whole each time"""
        self.addresses()
        url, digest = self.site.file(1)
        output = self.first.shell.check(SHELL + f"offloads.sh {url} {digest}", 1800)
        return re.search(r"(\d+ offloads)", output).group(1)

    # --- Life of a guest beside another ---

    def reboot(self):
        """a guest reboots"""
        return self.beside_traffic(lambda: self.ended("reboot", self.reborn))

    def power_off(self):
        """a guest powers off and is started again"""
        return self.beside_traffic(lambda: self.ended("poweroff", self.revived))

    def crash(self):
        """a guest's kernel crashes and is started again"""
        return self.beside_traffic(lambda: self.ended("echo c >/proc/sysrq-trigger", self.crashed))

    def ended(self, command, then):
        position = self.first.console.position
        self.first.console.send(command + "\n")
        then(position)

    def reborn(self, position):
        self.first.shell.login(position)

    def revived(self, position):
        self.machine.wait_off(0)
        self.revive(0)

    def crashed(self, position):
        self.first.console.wait("Kernel panic - not syncing: sysrq", 600, position)
        self.revive(0)

    def revive(self, number):
        """Starts a guest again, and logs in."""
        guest = self.machine.guests[number]
        position = self.machine.restart(number)
        guest.shell.login(position)

    def beside_traffic(self, action):
        """Does something to the first guest while the second fetches and writes what it checks."""
        self.addresses()
        url, digest = self.site.file(1)
        shell = self.second.shell
        shell.check(f"{SHELL}traffic.sh {url} {digest} >/dev/null 2>&1 & echo $! >/run/traffic.pid")
        self.wait_for_traffic(0)
        action()
        rounds = self.wait_for_traffic(int(shell.check("cat /run/traffic")))
        shell.check("kill $(cat /run/traffic.pid)")
        status, wrong = shell.run("cat /run/traffic.bad")
        require(status != 0, f"the other guest's traffic was disturbed: {wrong}")
        require(self.first.shell.check("mount | grep ' / '").startswith("/dev/vda1"), "the root is missing")
        return f"{rounds} rounds of traffic beside it"

    def wait_for_traffic(self, before):
        """How many rounds the traffic has gone, when it has gone some more."""
        deadline = time.monotonic() + 900
        while True:
            status, output = self.second.shell.run("cat /run/traffic")
            rounds = int(output) if status == 0 and output.strip().isdigit() else 0
            if rounds >= before + self.sizes.traffic_rounds:
                return rounds
            require(time.monotonic() < deadline, f"the other guest's traffic stands still at {rounds} rounds")
            time.sleep(0.5)


def send(port, data):
    try:
        port.sendall(data)
    except OSError:
        pass  # the receiving end says what is missing


def receive(port, count):
    """What comes from a port, up to a number of bytes, or until nothing has come for long."""
    port.settimeout(300)
    data = b""
    try:
        while len(data) < count:
            piece = port.recv(65536)
            if not piece:
                break
            data += piece
    except OSError:
        pass
    return data


def synced(guest, start):
    return re.findall(r"synced ([0-9a-f]{64})\n", guest.console.since(start))


def rescheduled(shell):
    """How many interrupts each CPU got from others."""
    lines = [line.split() for line in shell.check("cat /proc/interrupts").splitlines() if "IPI" in line]
    counts = [[int(word) for word in line[1:] if word.isdigit()] for line in lines]
    return [sum(column) for column in zip(*counts)]


ROWS = ("root", "features", "cores", "disk", "discard", "trim", "entropy", "ports", "address",
        "scmi", "scmi_devices", "scmi_performance", "scmi_supplies", "scmi_shared", "scmi_samples",
        "scmi_pins", "scmi_powercap", "scmi_trips", "scmi_log", "scmi_raw", "download",
        "iperf_guests", "iperf_outside", "offloads", "reboot", "power_off", "crash", "power_cut",
        "scmi_events")


class Table:
    """What was checked, a line each, and what came of it."""

    def __init__(self):
        self.passed = self.failed = 0

    def line(self, passed, seconds, text, detail=""):
        mark = "\033[32mPASS\033[0m" if passed else "\033[31mFAIL\033[0m"
        print(f"  {mark} {seconds:7.1f} s  {text}{'  (' + detail + ')' if detail else ''}", flush=True)
        self.passed += passed
        self.failed += not passed

    def consoles(self, machine):
        for name, lines in [(guest.name, guest.console.tail() if guest.console else [])
                            for guest in machine.guests] + [("host", machine.tail)]:
            for text in lines:
                print(f"         {name} | {text}", flush=True)


def run_rows(make_machine, sizes, rings, only, table, kind=Checks, rows=ROWS):
    """All rows on a machine; after a failure the next row gets a new one."""
    rows = [name for name in rows if only in name]
    checks = None
    with Site(sizes) as site:
        for name in rows:
            text = getattr(kind, name).__doc__
            begun = time.monotonic()
            try:
                if checks is None:
                    folder = tempfile.mkdtemp(prefix="vireo.")
                    checks = kind(make_machine(folder), site, sizes, rings)
                    checks.start()
                    table.line(True, time.monotonic() - begun, kind.start.__doc__)
                    begun = time.monotonic()
                detail = getattr(checks, name)()
                table.line(True, time.monotonic() - begun, text, detail)
            except (GuestFailure, ControlError) as failure:
                table.line(False, time.monotonic() - begun, text)
                print(f"         {failure}", flush=True)
                table.consoles(checks.machine)
                end(checks)
                checks = None
        if checks:
            end(checks)


def end(checks):
    checks.machine.stop()
    shutil.rmtree(checks.machine.folder, ignore_errors=True)
