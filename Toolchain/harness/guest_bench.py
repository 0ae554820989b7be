"""Measures Linux guests on the guest host beside the same guests on QEMU's own devices, in turns, in one run.

Called by Toolchain/bench --guests. Only ratios are judged: both sides run on the same machine within seconds
of each other, one after the other, and of all rounds the median counts. Each round boots anew: where a kernel
and its buffers come to lie is luck that lasts as long as the boot, and is worth a tenth and more.
"""

import argparse
import contextlib
import os
import re
import statistics
import sys
import tempfile
import time

import guest_image
import guest_machine
import guest_tree
import machine
import truth
from guest_console import GuestFailure
from guest_host_side import Site
from guests import parts

# Most CPU time of a boot, and least throughput, of that on QEMU's devices.
BOOT_LIMIT, RATE_LIMIT = 1.25, 0.8
TICKS = os.sysconf("SC_CLK_TCK")
DATA_MEBIBYTES = 256
# Address of an interface between guests, but for its last digit.
LINK = "52:54:00:77:00:0"
# Of `dd`: its block, how many MiB are read, how often, and how.
READS = [("direct reads of 4 KiB", "4k", 24, 1, "iflag=direct"),
         ("direct reads of 64 KiB", "64k", 256, 1, "iflag=direct"),
         ("direct reads of 1 MiB", "1M", 256, 8, "iflag=direct"),
         ("reads through the page cache", "64k", 192, 1, "")]


# Each guest has one core: where two of a guest share this machine's with others, what is measured is how one
# waits for the other. Neither side has more: QEMU stops all cores for each invalidation of a TLB that one of
# them broadcasts, so that a core costs time even when it sleeps.


class Hosted(guest_machine.GuestHost):
    """Guests on the guest host."""

    def __init__(self, parts, folder, guests=1, **named):
        options = " cores=" + ",".join(["1"] * guests)
        super().__init__(parts, folder, guests=guests, cores=guests, options=options, **named)

    @property
    def running(self):
        return [self.process]

    def link(self):
        """The address of the second guest for the first."""
        return [guest.address() for guest in self.guests][1]


class Plain(guest_machine.Reference):
    """The same guests on QEMU's own devices, with a device tree that lists no more than that of the guest
    host; the network between two is QEMU's stream."""

    def __init__(self, parts, folder, guests=1, **named):
        super().__init__(parts, folder, guests=guests, cores=guests, **named)

    def more(self, number):
        features = f"packed={'on' if self.rings == 'packed' else 'off'}"
        link = []
        if len(self.guests) > 1:
            path = machine.quoted(os.path.join(self.folder, "link"))
            role = "server=on" if number == 0 else "server=off,reconnect=1"
            link = ["-netdev", f"stream,id=link,{role},addr.type=unix,addr.path={path}",
                    "-device", f"virtio-net-device,netdev=link,mac={LINK}{number},{features}"]
        tree = os.path.join(self.folder, f"tree{number}")
        # Console, disk, network, entropy, and the link.
        guest_tree.write(self.board(number), 4 + (link != []), tree)
        return link + ["-dtb", tree]

    @property
    def running(self):
        return self.processes

    def link(self):
        """The address of the second guest for the first."""
        for number, guest in enumerate(self.guests):
            guest.shell.check(
                f"name=$(basename $(dirname $(grep -l {LINK}{number} /sys/class/net/*/address))); "
                f"ip addr add 192.168.77.{number + 1}/24 dev $name && ip link set $name up")
        return "192.168.77.2"


def cpu_seconds(machine_):
    """CPU time that the machine's QEMUs have used so far."""
    total = 0
    for process in machine_.running:
        with open(f"/proc/{process.pid}/stat", encoding="ascii") as file:
            fields = file.read().rpartition(")")[2].split()
        total += int(fields[11]) + int(fields[12])
    return total / TICKS


class Row:
    """One quantity on both sides, a pair a round: what is judged, and what it took of the CPU."""

    def __init__(self, name, limit=None, lower_is_better=False):
        self.name, self.limit, self.lower_is_better = name, limit, lower_is_better
        self.pairs = []

    def add(self, ours, theirs):
        self.pairs.append((ours, theirs))

    def median(self, side, part):
        return statistics.median(pair[side][part] for pair in self.pairs)

    def ratio(self, part):
        """The median of the rounds' ratios."""
        ratios = [pair[0][part] / pair[1][part] for pair in self.pairs if pair[1][part] > 0]
        return statistics.median(ratios) if ratios else float("nan")

    @property
    def passed(self):
        if self.limit is None:
            return True
        return self.ratio(0) <= self.limit if self.lower_is_better else self.ratio(0) >= self.limit

    def line(self):
        sign = "<=" if self.lower_is_better else ">="
        wanted = "" if self.limit is None else f"{sign} {self.limit}"
        mark = "" if self.limit is None else "passed" if self.passed else "FAILED"
        cpu = f"{self.ratio(1):8.2f}" if all(pair[0][1] for pair in self.pairs) else " " * 8
        return (f"{self.name:34} {self.median(0, 0):9.2f} {self.median(1, 0):9.2f} {self.ratio(0):7.2f}"
                f" {wanted:8} {cpu}  {mark}")


HEADING = f"{'':34} {'Vireo':>9} {'QEMU':>9} {'ratio':>7} {'wanted':8} {'CPU':>8}"


class Bench:
    """All measurements."""

    def __init__(self, made, options):
        self.made, self.options = made, options
        self.rounds = options.rounds
        self.rows = {}

    def row(self, name, *arguments, **named):
        return self.rows.setdefault(name, Row(name, *arguments, **named))

    def wants(self, name):
        return self.options.only in name

    def machines(self, folder, guests):
        """A guest host and QEMU's devices, not yet started."""
        made = []
        for kind in (Hosted, Plain):
            place = os.path.join(folder, kind.__name__)
            os.mkdir(place)
            made.append(kind(self.made, place, guests=guests, rings=self.options.rings))
        return made

    # --- Boot ---

    def boot(self):
        """CPU seconds from the start of QEMU to the prompt of the shell."""
        row = self.row("boot to login, CPU seconds", BOOT_LIMIT, lower_is_better=True)
        wall = self.row("boot to login, seconds", lower_is_better=True)
        # A boot is short, and touches much memory for the first time, which costs now this and now that.
        for number in range(2 * self.rounds):
            with tempfile.TemporaryDirectory(prefix="vireo.") as folder:
                found = [self.boot_once(made) for made in self.order(number, self.machines(folder, 1))]
            ours, theirs = self.order(number, found)
            row.add((ours[0], 0), (theirs[0], 0))
            wall.add((ours[1], 0), (theirs[1], 0))
            self.progress(row)

    @staticmethod
    def order(number, pair):
        """Who begins changes from round to round."""
        return pair if number % 2 == 0 else pair[::-1]

    @staticmethod
    def boot_once(made):
        begun = time.monotonic()
        made.start()
        try:
            console = made.guests[0].console
            console.wait(made.guests[0].shell.PROMPT, 600)
            return cpu_seconds(made), time.monotonic() - begun
        finally:
            made.stop()

    @staticmethod
    def progress(row):
        ours, theirs = row.pairs[-1]
        print(f"  round {len(row.pairs)}: {row.name}: {ours[0]:.2f} {theirs[0]:.2f}"
              f" (CPU {ours[1]:.2f} {theirs[1]:.2f})", flush=True)

    # --- Throughput ---

    def in_turns(self, pair, row, measure):
        number = len(row.pairs)
        found = [measure(made) for made in self.order(number, pair)]
        row.add(*self.order(number, found))
        self.progress(row)

    def timed(self, made, work):
        """What `work` returns, a number of MB and its seconds, as MB a second, and CPU seconds a GB."""
        before = cpu_seconds(made)
        megabytes, seconds = work(made)
        return megabytes / seconds, (cpu_seconds(made) - before) / megabytes * 1000

    def disk(self, pair):
        for name, block, mebibytes, times, flags in READS:
            if not self.wants(name):
                continue
            count = self.options.scale * mebibytes << 20
            unit = int(block[:-1]) << {"k": 10, "M": 20}[block[-1]]
            command = f"dd if=/dev/vda2 of=/dev/null bs={block} count={count // unit} {flags} 2>&1"

            def read(made):
                shell = made.guests[0].shell
                shell.check("echo 3 >/proc/sys/vm/drop_caches")
                found = [re.search(r"(\d+) bytes .* copied, ([\d.]+) s", shell.check(command))
                         for _ in range(times)]
                if any(not one or int(one.group(1)) != count for one in found):
                    raise GuestFailure("dd read something else")
                return times * count / 1e6, sum(float(one.group(2)) for one in found)

            row = self.row(f"{name}, MB/s", RATE_LIMIT)
            self.in_turns(pair, row, lambda made: self.timed(made, read))

    def iperf(self, guest, arguments):
        def work(made):
            where = arguments(made) if callable(arguments) else arguments
            output = made.guests[guest].shell.check(
                f"iperf3 -f k -t {self.options.seconds} {where}", 900)
            found = re.findall(r"0\.00-([\d.]+) +sec .* ([\d.]+) Kbits/sec.*receiver", output)
            if not found or float(found[-1][1]) <= 0:
                raise GuestFailure(f"iperf3 moved nothing: {output}")
            seconds, rate = float(found[-1][0]), float(found[-1][1]) * 1000 / 8 / 1e6
            return rate * seconds, seconds
        return lambda made: self.timed(made, work)

    def outside(self, pair, site):
        for made in pair:
            made.guests[0].address()
        port = site.iperf_server()
        for name, more in (("to the outside", ""), ("from the outside", " -R")):
            if self.wants(name):
                row = self.row(f"network {name}, MB/s", RATE_LIMIT)
                self.in_turns(pair, row, self.iperf(0, f"-c {site.address} -p {port}{more}"))

    def between(self, pair):
        addresses = {made: made.link() for made in pair}
        for made in pair:
            made.guests[1].shell.check("iperf3 -s -D >/dev/null")
        row = self.row("network between guests, MB/s", RATE_LIMIT)
        self.in_turns(pair, row, self.iperf(0, lambda made: f"-c {addresses[made]}"))

    def one_guest(self, site):
        with self.running(1) as pair:
            self.disk(pair)
            if self.wants("network to the outside") or self.wants("network from the outside"):
                self.outside(pair, site)

    def two_guests(self):
        with self.running(2) as pair:
            self.between(pair)

    @contextlib.contextmanager
    def running(self, guests):
        """Both machines, logged in to, with data on their disks."""
        with tempfile.TemporaryDirectory(prefix="vireo.") as folder:
            pair = self.machines(folder, guests)
            try:
                for made in pair:
                    fill(made.guests[0].disk, DATA_MEBIBYTES * self.options.scale)
                    made.start()
                    for guest in made.guests:
                        guest.shell.login()
                yield pair
            finally:
                for made in pair:
                    made.stop()

    def run(self):
        if self.wants("boot"):
            self.boot()
        names = [row[0] for row in READS] + ["network to the outside", "network from the outside"]
        with Site(Sizes) as site:
            for _ in range(self.rounds):
                if any(self.wants(name) for name in names):
                    self.one_guest(site)
                if self.wants("network between guests"):
                    self.two_guests()
        print(f"\n{HEADING}")
        for row in self.rows.values():
            print(row.line())
        print("ratio: the median of the rounds' ratios; CPU: that of QEMU's CPU time for the same work")
        return 0 if self.rows and all(row.passed for row in self.rows.values()) else 1


class Sizes:
    """What `Site` serves; nothing of it is used here."""

    file_mebibytes = 1


def fill(path, mebibytes):
    """Data where it is read: holes would be quick."""
    with open(path, "r+b") as file:
        file.seek(guest_image.SCRATCH_START)
        piece = truth.content("bench", 1 << 20)
        for _ in range(mebibytes):
            file.write(piece)


def main():
    parser = argparse.ArgumentParser(prog="Toolchain/bench --guests", allow_abbrev=False)
    parser.add_argument("--quick", action="store_true", help="one round, and less of everything")
    parser.add_argument("--rounds", type=int, help="rounds of each measurement, and twice as many boots; 5")
    parser.add_argument("--kernel", default="6.12", help="6.12, 7.3, built, or a file")
    parser.add_argument("--rings", choices=("split", "packed"), default="packed")
    parser.add_argument("--only", default="", help="only the rows whose name contains this")
    options = parser.parse_args()
    options.rounds = options.rounds or (1 if options.quick else 5)
    options.seconds, options.scale = (2, 1) if options.quick else (5, 1)
    try:
        return Bench(parts(options.kernel, False), options).run()
    except (machine.InputError, GuestFailure) as failure:
        print(f"error: {failure}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
