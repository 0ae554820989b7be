"""The check of Linux guests checked, as far as it goes without a guest: what is made for one, how its console
is read, and what its rows say about a guest that does wrong.

Called by Toolchain/test; needs no QEMU.
"""

import io
import os
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import unittest

os.environ.setdefault("VIREO_QEMU", "qemu-system-aarch64")
os.environ.setdefault("VIREO_IMAGE", "guest-host")

import guest_image
import guests_check
from guest_console import Console, GuestFailure, Shell


class ImageTests(unittest.TestCase):
    def test_archive(self):
        file = io.BytesIO()
        archive = guest_image.Archive(file)
        archive.put("a/b", b"hello", 0o755)
        archive.node("dev/null", (1, 3))
        archive.end()
        entries, data = [], file.getvalue()
        while True:
            fields = [int(data[6 + 8 * i:14 + 8 * i], 16) for i in range(13)]
            self.assertEqual(data[:6], b"070701")
            name = data[110:110 + fields[11] - 1].decode()
            start = (110 + fields[11] + 3) & ~3
            entries.append((name, fields[1], data[start:start + fields[6]], tuple(fields[9:11])))
            data = data[(start + fields[6] + 3) & ~3:]
            if name == "TRAILER!!!":
                break
        self.assertEqual(data, b"")
        self.assertEqual(entries, [("a", 0o40755, b"", (0, 0)), ("a/b", 0o100755, b"hello", (0, 0)),
                                   ("dev", 0o40755, b"", (0, 0)), ("dev/null", 0o20600, b"", (1, 3)),
                                   ("TRAILER!!!", 0, b"", (0, 0))])

    def test_partitions(self):
        table = guest_image.partition_table((1 << 20, 3 << 20), (4 << 20, 1 << 20))
        self.assertEqual((len(table), table[510:]), (512, b"\x55\xaa"))
        self.assertEqual(struct.unpack_from("<B3xB3xII", table, 446), (0, 0x83, 2048, 6144))
        self.assertEqual(struct.unpack_from("<B3xB3xII", table, 462), (0, 0x83, 8192, 2048))
        self.assertEqual(table[478:510], bytes(32))

    def test_modules(self):
        with tempfile.TemporaryDirectory() as folder:
            os.mkdir(os.path.join(folder, "kernel"))
            wanted = [name for name in guest_image.MODULES if name != "virtio_console"]
            depends = {"virtio_mmio": "virtio-ring", "virtio_ring": ""}
            for name in wanted + ["virtio_ring"]:
                text = b"license=GPL\0depends=" + depends.get(name, "").encode() + b"\0name=x\0"
                with open(os.path.join(folder, "kernel", name.replace("_", "-") + ".ko"), "wb") as file:
                    file.write(text)
            builtin = os.path.join(folder, "modules.builtin")
            with open(builtin, "w", encoding="utf-8") as file:
                file.write("kernel/drivers/char/virtio_console.ko\n")
            found, first = guest_image.modules(folder)
            self.assertEqual((list(found), first), (["virtio_ring"] + wanted, len(wanted) + 1))
            os.remove(builtin)
            with self.assertRaisesRegex(SystemExit, "virtio_console is missing"):
                guest_image.modules(folder)

    def test_a_kernel_without_modules(self):
        with tempfile.TemporaryDirectory() as folder:
            self.assertEqual(guest_image.modules(folder), ({}, 0))


class ConsoleTests(unittest.TestCase):
    def setUp(self):
        ours, self.guest = socket.socketpair()
        self.console = Console(ours, "guest 0")
        self.shell = Shell(self.console)
        self.addCleanup(self.console.close)
        self.addCleanup(self.guest.close)

    def answer(self, text):
        """Plays a guest: reads a command, echoes it, and prints `text`."""
        def play():
            command = self.guest.recv(4096)
            self.guest.sendall(command.replace(b"\n", b"\r\n") + text.encode())
        threading.Thread(target=play, daemon=True).start()

    def test_command(self):
        self.answer("one\r\ntwo\r\nVIREO-1-0\r\n")
        self.assertIn("one\ntwo\n", self.shell.check("two", 10))

    def test_status(self):
        self.answer("VIREO-1-3\r\n")
        self.assertEqual(self.shell.run("false", 10)[0], 3)
        self.answer("VIREO-2-1\r\n")
        with self.assertRaisesRegex(GuestFailure, "`false` ended with status 1"):
            self.shell.check("false", 10)

    def test_the_echo_of_a_command_is_no_result(self):
        self.answer("")
        with self.assertRaisesRegex(GuestFailure, "did not end"):
            self.shell.run("true", 0.3)

    def test_a_result_of_another_command_is_none(self):
        self.answer("VIREO-7-0\r\n")
        with self.assertRaisesRegex(GuestFailure, "did not end"):
            self.shell.run("true", 0.3)

    def test_a_console_that_ends(self):
        self.guest.close()
        with self.assertRaisesRegex(GuestFailure, "console"):
            self.console.wait("never", 10)

    def test_login(self):
        def play():
            self.guest.sendall(b"[ 0.1] booting\r\nguest1:~# ")
            text = b""
            while b"VIREO-%d" not in text:
                text += self.guest.recv(4096)
            self.guest.sendall(b"VIREO-1-0\r\n")
        threading.Thread(target=play, daemon=True).start()
        self.shell.login(seconds=10)


class Script:
    """A shell that answers from a list of what a command contains and what it prints."""

    def __init__(self, answers):
        self.answers = answers

    def check(self, command, seconds=0):
        return next(output for part, output in self.answers if part in command)


class Machine:
    scmi = "hvc"

    def __init__(self, *guests):
        self.guests = guests


class Guest:
    name, scmi = "guest", "hvc"

    def __init__(self, answers, disk=None):
        self.shell, self.disk = Script(answers), disk


class RowTests(unittest.TestCase):
    """What rows say about right and wrong guests."""

    def checks(self, *guests, rings="packed"):
        return guests_check.Checks(Machine(*guests), guests_check.Site(guests_check.Sizes(True)),
                                   guests_check.Sizes(True), rings)

    def test_features(self):
        def listed(change=None):
            rows = [[f"0x{kind:04x}", driver, "0" * 32 + "101" + "0" * 29]
                    for kind, driver in guests_check.DRIVERS.items()]
            if change:
                change(rows)
            return Guest([("features", "\n".join(" ".join(row) for row in rows))])

        self.checks(listed(), listed()).features()
        wrong = [lambda rows: rows.pop(), lambda rows: rows[1].__setitem__(1, "other"),
                 lambda rows: rows[2].__setitem__(2, "0" * 64),
                 lambda rows: rows[3].__setitem__(2, "0" * 32 + "1" + "0" * 31)]
        for change in wrong:
            with self.assertRaises(GuestFailure):
                self.checks(listed(), listed(change)).features()
        with self.assertRaises(GuestFailure):
            self.checks(listed(), listed(), rings="split").features()

    def test_discard(self):
        mebibyte = guest_image.MEBIBYTE
        data = b"x" * 8 * mebibyte + bytes(12 * mebibyte) + b"y" * 4 * mebibyte
        digest = guests_check.Site.sha256
        report = f"before={digest(data[:8 * mebibyte])} after={digest(data[20 * mebibyte:])}"
        with tempfile.NamedTemporaryFile() as disk:
            checks = self.checks(Guest([("discard", report)], disk.name), Guest([]))
            for position, good in ((None, True), (0, False), (8, False), (19, False), (23, False)):
                disk.seek(guest_image.SCRATCH_START + 64 * mebibyte)
                disk.write(data)
                if position is not None:
                    disk.seek(guest_image.SCRATCH_START + (64 + position) * mebibyte)
                    disk.write(b"z")
                disk.flush()
                if good:
                    checks.discard()
                else:
                    with self.assertRaises(GuestFailure):
                        checks.discard()

    def test_iperf(self):
        line = "[  5]   0.00-3.00   sec   100 MBytes   {} Mbits/sec                  receiver\n"
        for rate, good in (("279.4", True), ("0.00", False)):
            checks = self.checks(Guest([("iperf3", line.format(rate))]), Guest([]))
            if good:
                self.assertEqual(checks.iperf("-c x"), "279 Mbit/s")
            else:
                self.assertRaises(GuestFailure, checks.iperf, "-c x")

    def test_every_row_is_listed(self):
        for name in guests_check.ROWS:
            self.assertTrue(getattr(guests_check.Checks, name).__doc__)


class ScriptTests(unittest.TestCase):
    def test_syntax(self):
        for folder in ("check", "initramfs", "root/etc/init.d"):
            path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "guest-files", folder)
            for script in guest_image.files_of(path):
                subprocess.run(["sh", "-n", script], check=True)


if __name__ == "__main__":
    sys.exit(unittest.main())
