"""The check checked: a right transcript passes every column, and a wrong line fails its column and no other.

Called by Toolchain/test; needs no QEMU.
"""

import os
import struct
import sys
import tempfile
import unittest

os.environ.setdefault("VIREO_QEMU", "qemu-system-aarch64")
os.environ.setdefault("VIREO_IMAGE", "drivers")

import drivers_check
import machine
import truth

FEATURES = {name: 1 << 32 | 1 << 34 | 1 << 29 for name in drivers_check.QUEUES}


class Transcript:
    """What a run leaves behind."""

    timed_out = False
    seconds = 1
    results = machine.Run.results

    def __init__(self, lines):
        self.lines = ["vireo: driver image"] + [f"vireo: {line}" for line in lines]


def right_lines(host, seed):
    lines = [f"device={slot} type={name} features={FEATURES[name]:032x} queues={queues}"
             for slot, (name, queues) in enumerate(drivers_check.QUEUES.items())]
    lines += [f"negotiated={slot} features={FEATURES[name]:032x}"
              for slot, name in enumerate(drivers_check.QUEUES)]
    random = host.random[:truth.ENTROPY_BYTES]
    lines += [f"disk.sectors={len(host.disk) // 512}", f"disk.sha256={truth.sha256(host.disk)}",
              f"disk.write=ok sector=3 count=2 pattern={seed:016x}", "net.lease=10.0.2.15",
              f"tftp.bytes={len(host.served)}", f"tftp.sha256={truth.sha256(host.served)}",
              f"entropy.bytes={len(random)}", f"entropy.sha256={truth.sha256(random)}"]
    lines += [f"entropy.{name}={count}" for name, count in truth.fips_failures(random).items()]
    return lines + ["console.ready=2", f"console.echo={truth.ECHO_BYTES}", "result=pass"]


class CheckTests(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.host = drivers_check.Host(self.folder.name, machine.Rings(packed=True))
        self.host.echoed = self.host.sent
        self.lines = right_lines(self.host, 0x1234)
        self.write_disk(3, truth.pattern(0x1234, 1024))

    def write_disk(self, sector, data):
        with open(self.host.path["disk"], "r+b") as file:
            file.seek(sector * 512)
            file.write(data)

    def failing(self, lines, status=0):
        problems = self.host.problems(Transcript(lines), status)
        self.assertEqual(list(problems), drivers_check.COLUMNS)
        return [column for column, problem in problems.items() if problem]

    def test_right(self):
        self.assertEqual(self.failing(self.lines), [])

    def test_each_line_matters(self):
        columns = {"device": "devices", "negotiated": "devices",
                   "disk.sectors": "disk", "disk.sha256": "disk", "disk.write": "write",
                   "net.lease": "network", "tftp.bytes": "file", "tftp.sha256": "file",
                   "console.echo": "console", "result": "end"}
        for index, line in enumerate(self.lines):
            key = line.split("=")[0]
            if key == "console.ready":
                continue
            column = columns.get(key, "entropy")
            with self.subTest(line=line):
                before, after = self.lines[:index], self.lines[index + 1:]
                self.assertEqual(self.failing(before + after), [column])
                self.assertEqual(self.failing(before + [line + "0"] + after), [column])

    def test_features_not_negotiated(self):
        lines = [f"negotiated=0 features={1 << 32:032x}" if line.startswith("negotiated=0") else line
                 for line in self.lines]
        self.assertEqual(self.failing(lines), ["devices"])

    def test_disk_elsewhere(self):
        self.write_disk(9, b"x")
        self.assertEqual(self.failing(self.lines), ["write"])

    def test_disk_not_written(self):
        self.write_disk(3, self.host.disk[3 * 512:5 * 512])
        self.assertEqual(self.failing(self.lines), ["write"])

    def test_echo_of_other_bytes(self):
        self.host.echoed = bytes(len(self.host.sent))
        self.assertEqual(self.failing(self.lines), ["console"])

    def test_exit_status(self):
        self.assertEqual(self.failing(self.lines, status=1), ["end"])


class TruthTests(unittest.TestCase):
    def test_pattern(self):
        # The first outputs of SplitMix64 from the seed 0, as published with it.
        words = struct.unpack("<3Q", truth.pattern(0, 24))
        self.assertEqual(words, (0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F))

    def test_fips(self):
        good = truth.content("fips", 2500)
        self.assertEqual(set(truth.fips_failures(good).values()), {0})
        self.assertEqual(set(truth.fips_failures(bytes(2500)).values()), {1})
        stuck = bytearray(good)
        stuck[100:104] = bytes(4)
        self.assertEqual(truth.fips_failures(bytes(stuck))["longrun"], 1)
        even = {"monobit": 0, "poker": 1, "runs": 1, "longrun": 0}
        self.assertEqual(truth.fips_failures(b"\x55" * 2500), even)

    def test_disk_sizes(self):
        with tempfile.NamedTemporaryFile() as file:
            for size, refused in ((0, True), (511, True), (512, False), (1000, True), (1024, False)):
                file.truncate(size)
                if refused:
                    self.assertRaises(machine.InputError, machine.check_disk, file.name)
                else:
                    machine.check_disk(file.name)


if __name__ == "__main__":
    sys.exit(unittest.main())
