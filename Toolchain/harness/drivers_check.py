"""Checks the driver image against what the host knows, for every ring format and feature.

The image reads its orders from the boot options, words separated by spaces:

    check            do everything below, then end; without it the image is interactive
    split            split rings even where packed ones are offered
    inorder=0|1      whether to accept IN_ORDER where it is offered (default 1)
    eventidx=0|1     whether to accept EVENT_IDX where it is offered (default 1)
    trap=KIND        fail on purpose: bounds, abort, write or stack

It answers on its serial console, one result a line, `vireo: KEY=VALUE`, among lines for people:

    device=SLOT type=NAME features=HEX queues=N   what a device offers: 32 digits, bit 127 first; NAME is
                                                  block, network, console, entropy, or id-N for any other
    negotiated=SLOT features=HEX                  what the driver accepted
    disk.sectors=N  disk.sha256=HEX               the whole disk, read before anything is written
    disk.write=ok sector=N count=N pattern=HEX    written, flushed and read back: the 64-bit words of
                                                  SplitMix64 from the seed HEX (16 digits), little-endian
    net.lease=ADDRESS                             from DHCP, dotted decimal
    tftp.bytes=N  tftp.sha256=HEX                 the file vireo-boot.bin of the DHCP server's TFTP
    entropy.bytes=N  entropy.sha256=HEX           1 MiB, in the order in which the device gave it
    entropy.monobit=N  .poker  .runs  .longrun    how many of its 419 whole blocks of 20,000 bits fail that
                                                  test of FIPS 140-2 (change notice 1)
    console.ready=SLOT                            the port vireo.echo is open: the host sends 16,384 bytes
    console.echo=N                                so many bytes came and were sent back
    result=pass|fail                              the last line; exit status 0 or not

What goes wrong is one line `vireo: error: TEXT`, before the result line.
"""

import itertools
import os
import re
import tempfile
import threading
import time

import bad_input
import machine
import truth

SECONDS = 240  # for one run; ten seconds are usual on an idle machine
COLUMNS = ["devices", "disk", "write", "network", "file", "entropy", "console", "end"]
QUEUES = {"block": 1, "network": 3, "console": 8, "entropy": 1}
DEVICE = re.compile(r"^(\d+) type=(\S+) features=([0-9a-f]{32}) queues=(\d+)$")
NEGOTIATED = re.compile(r"^(\d+) features=([0-9a-f]{32})$")
WRITE = re.compile(r"^ok sector=(\d+) count=(\d+) pattern=([0-9a-f]{16})$")


class Host:
    """The devices' host side of one run, and what it expects."""

    def __init__(self, folder, rings, disk=None):
        self.rings = rings
        self.folder = folder
        names = ("disk", "random", "served", "console", "port")
        self.path = {name: os.path.join(folder, name) for name in names}
        if disk:
            with open(disk, "rb") as file:
                self.disk = file.read()
        else:
            self.disk = truth.content("disk " + rings.name, truth.DISK_BYTES)
        self.served = truth.content("file " + rings.name, truth.SERVED_BYTES)
        self.random = truth.content("random " + rings.name, 4 * truth.ENTROPY_BYTES)
        self.sent = truth.content("echo " + rings.name, truth.ECHO_BYTES)
        self.echoed = b""
        self.port = None
        self.worker = None
        os.mkdir(self.path["served"])
        for path, data in ((self.path["disk"], self.disk), (self.path["random"], self.random),
                           (os.path.join(self.path["served"], "vireo-boot.bin"), self.served)):
            with open(path, "wb") as file:
                file.write(data)

    @property
    def devices(self):
        return (machine.block(self.path["disk"], self.rings)
                + machine.network(self.path["served"], self.rings)
                + machine.entropy(self.path["random"], self.rings)
                + machine.console(self.path["console"], self.path["port"], self.rings))

    def start(self, run):
        self.port = machine.connect(self.path["port"])

    def line(self, run, line):
        if line.startswith(b"vireo: console.ready=") and self.worker is None:
            self.worker = threading.Thread(target=self.echo, daemon=True)
            self.worker.start()

    def echo(self):
        """Sends the bytes and collects what comes back, until all is there or the port is closed."""
        sender = threading.Thread(target=self.send, daemon=True)
        sender.start()
        try:
            while len(self.echoed) < len(self.sent):
                data = self.port.recv(65536)
                if not data:
                    break
                self.echoed += data
        except OSError:
            pass
        sender.join(10)

    def send(self):
        try:
            self.port.sendall(self.sent)
        except OSError:
            pass

    def finish(self):
        if self.worker:
            self.worker.join(10)
        if self.port:
            self.port.close()

    def problems(self, run, status):
        """What is wrong, by column; an empty text where all is well."""
        results = {}
        for key, value in run.results:
            results.setdefault(key, []).append(value)
        single = {key: values[0] if len(values) == 1 else f"{len(values)} times"
                  for key, values in results.items()}
        return {
            "devices": self.device_problem(results),
            "disk": compare(single, {"disk.sectors": str(len(self.disk) // truth.SECTOR),
                                     "disk.sha256": truth.sha256(self.disk)}),
            "write": self.write_problem(single.get("disk.write", "nothing")),
            "network": compare(single, {"net.lease": "10.0.2.15"}),
            "file": compare(single, {"tftp.bytes": str(len(self.served)),
                                     "tftp.sha256": truth.sha256(self.served)}),
            "entropy": self.entropy_problem(single),
            "console": compare(single, {"console.echo": str(len(self.sent))}) or self.echo_problem(),
            "end": end_problem(run, status, "pass", 0),
        }

    def device_problem(self, results):
        offered = {}
        for value in results.get("device", []):
            match = DEVICE.match(value)
            if not match:
                return f"device={value} is not understood"
            slot, name, features, queues = match.groups()
            problem = self.rings.mismatch(int(features, 16))
            if problem:
                return f"{name} offers: {problem}"
            if name in QUEUES and int(queues) != QUEUES[name]:
                return f"{name} has {QUEUES[name]} queues, not {queues}"
            offered[slot] = name
        if sorted(offered.values()) != sorted(QUEUES):
            found = ", ".join(sorted(offered.values())) or "none"
            return f"the devices are {', '.join(sorted(QUEUES))}, not {found}"
        accepted = {}
        for value in results.get("negotiated", []):
            match = NEGOTIATED.match(value)
            if not match:
                return f"negotiated={value} is not understood"
            accepted[match.group(1)] = int(match.group(2), 16)
        for slot, name in offered.items():
            if slot not in accepted:
                return f"nothing was negotiated with {name}"
            problem = self.rings.mismatch(accepted[slot])
            if problem:
                return f"negotiated with {name}: {problem}"
        return ""

    def write_problem(self, value):
        match = WRITE.match(value)
        if not match:
            return f"disk.write={value} is not understood"
        sector, count, seed = int(match.group(1)), int(match.group(2)), int(match.group(3), 16)
        start, length = sector * truth.SECTOR, count * truth.SECTOR
        if count == 0 or start + length > len(self.disk):
            return f"sectors {sector} to {sector + count} are not on the disk"
        expected = self.disk[:start] + truth.pattern(seed, length) + self.disk[start + length:]
        with open(self.path["disk"], "rb") as file:
            found = file.read()
        if expected == self.disk:
            return "the pattern was on the disk before"
        if found == expected:
            return ""
        if found == self.disk:
            return "nothing was written to the image file"
        return "the image file has other content than the pattern where it was written, and the old elsewhere"

    def echo_problem(self):
        if self.echoed == self.sent:
            return ""
        return f"{len(self.echoed)} bytes came back, not those that were sent"

    def entropy_problem(self, single):
        data = self.random[:truth.ENTROPY_BYTES]
        expected = {"entropy.bytes": str(len(data)), "entropy.sha256": truth.sha256(data)}
        for name, count in truth.fips_failures(data).items():
            expected[f"entropy.{name}"] = str(count)
        return compare(single, expected)


def compare(results, expected):
    """The first difference, or an empty text."""
    for key, value in expected.items():
        if results.get(key) != value:
            return f"{key} is {results.get(key, 'missing')}, not {value}"
    return ""


def end_problem(run, status, result, expected_status):
    """What is wrong with the end of a run: it has to be in time, with this last line and this exit status."""
    if run.timed_out:
        return f"it did not end within {run.seconds} seconds"
    if status != expected_status:
        return f"exit status {status}, not {expected_status}"
    if not run.results or run.results[-1] != ("result", result):
        return f"the last result line is not result={result}"
    return ""


def run_all(folder, symbols, options):
    """All runs, with a table; returns the exit status."""
    started = time.monotonic()
    echo = (lambda line: print("    | " + line, flush=True)) if options.verbose else None
    results = list(matrix(folder, symbols, options, echo))
    results += clear_failures(folder, symbols, options, echo)
    passed, seconds = results.count(True), time.monotonic() - started
    print(f"\n{passed} passed, {len(results) - passed} failed ({seconds:.0f} s)", flush=True)
    return 0 if results and all(results) else 1


def matrix(folder, symbols, options, echo):
    """Every ring format and feature; gives for each whether all is well."""
    print("\033[1mDriver image against QEMU's devices\033[0m")
    print("  " + "rings".ljust(28) + " ".join(name.ljust(8) for name in COLUMNS) + " seconds", flush=True)
    states = (False, True)
    for packed, in_order, event_idx in itertools.product(states, states, states):
        rings = machine.Rings(packed, in_order, event_idx)
        if options.only not in rings.name:
            continue
        begun = time.monotonic()
        host = Host(tempfile.mkdtemp(dir=folder), rings, options.disk)
        boot_options = f"check {rings.boot_options} {options.append}".strip()
        command = machine.base_command(machine.IMAGE + ".img", boot_options) + host.devices
        run = machine.Run(command, symbols, SECONDS, host.start, host.line, echo)
        status = run.execute()
        host.finish()
        problems = host.problems(run, status)
        marks = " ".join(("✗" if problems[name] else "✓").ljust(8) for name in COLUMNS)
        print(f"  {rings.name.ljust(28)}{marks} {time.monotonic() - begun:.1f}", flush=True)
        wrong = [f"{name}: {problems[name]}" for name in COLUMNS if problems[name]]
        if wrong:
            report(run, wrong, options.verbose)
        yield not wrong


def clear_failures(folder, symbols, options, echo):
    """Bad input and faults on purpose; gives for each whether it ended as it should."""
    print("\n\033[1mFailures that have to be clear and bounded\033[0m")
    for case in bad_input.cases(folder, symbols, echo):
        if options.only not in case.name:
            continue
        begun = time.monotonic()
        problem = case.problem()
        mark = "✗" if problem else "✓"
        print(f"  {mark} {case.name.ljust(60)}{time.monotonic() - begun:.1f}", flush=True)
        if problem:
            report(case.run, [problem], options.verbose)
        else:
            print(f"      {case.message}", flush=True)
        yield not problem


def report(run, problems, shown):
    for problem in problems:
        print(f"      {problem}")
    if run and not shown:
        print("      the end of the console:")
        for line in run.lines[-20:]:
            print(f"      | {line}")
    if run:
        print(f"      the command: {run.command_line}", flush=True)
