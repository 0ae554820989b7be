"""Starts that cannot go well, and faults on purpose: each has to end soon, with a message that says why."""

import os
import re

import machine
from qmp import Control, ControlError

SECONDS = 60
TREE = 0x4400_0000  # where QEMU puts the device tree of an image with 128 MiB of RAM
TREE_BYTES = 0x1_0000
MAGIC = bytes.fromhex("d00dfeed")
RINGS = machine.Rings(packed=True, in_order=True)


class Case:
    """A run that has to print a line that matches, end by itself and have an exit status."""

    def __init__(self, name, command, expected, status, symbols, echo, **hooks):
        self.name, self.expected, self.status = name, re.compile(expected), status
        self.run = machine.Run(command, symbols, SECONDS, echo=echo, **hooks)
        self.message = ""

    def problem(self):
        try:
            status = self.run.execute()
        except PatchError as error:
            return str(error)
        self.message = next((line.strip() for line in self.run.lines if self.expected.search(line)), "")
        if self.run.timed_out:
            return f"it did not end within {SECONDS} seconds"
        if not self.message:
            return f"no line says {self.expected.pattern}"
        if status != self.status:
            return f"exit status {status}, not {self.status}"
        return ""


class RefusedDisk:
    """A disk that the host refuses before anything starts."""

    run = None

    def __init__(self, folder, size):
        self.name = f"a disk of {size} bytes"
        self.path = os.path.join(folder, f"disk-{size}")
        self.message = ""
        with open(self.path, "wb") as file:
            file.write(bytes(size))

    def problem(self):
        try:
            machine.check_disk(self.path)
        except machine.InputError as error:
            self.message = "error: " + str(error)
            return ""
        return "the disk was accepted"


class PatchError(Exception):
    pass


class Patch:
    """Changes the device tree in RAM before the first instruction, over QEMU's test and control sockets."""

    def __init__(self, folder, name, change):
        self.sockets = [os.path.join(folder, f"{name}.{kind}") for kind in ("qtest", "qmp")]
        self.change = change

    @property
    def options(self):
        qtest, qmp = self.sockets
        return ["-S", "-qtest", f"unix:{qtest},server=on,wait=off", "-qtest-log", "/dev/null",
                "-qmp", f"unix:{qmp},server=on,wait=off"]

    def __call__(self, run):
        control = Control(self.sockets[1])
        with machine.connect(self.sockets[0]) as qtest, qtest.makefile("rw") as memory:
            tree = bytes.fromhex(self.ask(memory, f"read {TREE:#x} {TREE_BYTES:#x}").removeprefix("OK 0x"))
            if not tree.startswith(MAGIC):
                raise PatchError(f"there is no device tree at {TREE:#x}")
            patched = self.change(tree)
            if len(patched) != len(tree) or patched == tree:
                raise PatchError("the device tree has nothing to change")
            for start in range(0, len(tree), 4096):
                if tree[start:start + 4096] != patched[start:start + 4096]:
                    part = patched[start:start + 4096]
                    self.ask(memory, f"write {TREE + start:#x} {len(part):#x} 0x{part.hex()}")
            try:
                control.execute("cont")
            except ControlError:
                pass  # the run has ended before QEMU could answer
            control.close()

    @staticmethod
    def ask(memory, command):
        memory.write(command + "\n")
        memory.flush()
        reply = memory.readline().strip()
        if not reply.startswith("OK"):
            raise PatchError(f"QEMU answered {reply!r}")
        return reply


def renamed(old, new):
    """A change of every occurrence of a text to one of the same length."""
    assert len(old) == len(new)
    return lambda tree: tree.replace(old.encode(), new.encode())


def word(offset, value):
    """A change of one big-endian word."""
    return lambda tree: tree[:offset] + value.to_bytes(4, "big") + tree[offset + 4:]


def structure_cut(tree):
    """The first property of the root, behind its tag and its empty name, does not end within the tree."""
    offset = int.from_bytes(tree[8:12], "big") + 8
    return word(offset, 3)(word(offset + 4, 0x7FFF_FFFF)(tree))


def cases(folder, symbols, echo):
    image, elf = machine.IMAGE + ".img", machine.IMAGE + ".elf"
    entropy = machine.entropy(None, RINGS)

    def case(name, expected, status, append="check", kernel=image, devices=(), machine_options="", **hooks):
        command = machine.base_command(kernel, append, machine_options) + list(devices)
        return Case(name, command, expected, status, symbols, echo, **hooks)

    def tree(name, expected, change):
        patch = Patch(folder, f"tree{len(made)}", change)
        made.append(case(name, expected, 1, devices=entropy + patch.options, on_start=patch))

    made = [RefusedDisk(folder, 1000), RefusedDisk(folder, 0)]

    made.append(case("no device at all", r"^vireo: error: .*no virtio device", 1))
    made.append(case("only a device of an unknown type", r"^vireo: error: .*no device of a type", 1,
                     devices=["-device", "virtio-balloon-device"]))
    made.append(case("devices of the legacy interface", r"legacy", 1,
                     devices=entropy + ["-global", "virtio-mmio.force-legacy=true"]))
    made.append(case("a missing disk", r"^vireo: error: .*no block device", 1, devices=entropy))

    tree("a device tree without its magic number", r"^vireo: error: device tree: there is none", word(0, 0))
    tree("a device tree longer than memory", r"^vireo: error: device tree: it is longer",
         word(4, 0x7FFF_FFFF))
    tree("a device tree of an unknown version", r"^vireo: error: device tree: it is damaged", word(20, 1))
    tree("a device tree with a broken structure", r"^vireo: error: device tree: it is damaged", structure_cut)
    tree("a device tree with its strings elsewhere", r"^vireo: error: device tree: it is damaged",
         word(12, 0x00FF_FFF0))
    tree("a device tree without virtio,mmio", r"^vireo: error: .*no virtio,mmio node",
         renamed("virtio,mmio\0", "vanished,xx\0"))
    tree("a device tree without memory", r"^vireo: error: device tree: it lacks memory",
         renamed("\0device_type\0", "\0device_gone\0"))
    tree("a device tree without a timer", r"^vireo: error: device tree: it lacks the timer",
         renamed("arm,armv8-timer\0", "arm,armv0-timer\0"))
    tree("a device tree without the parent of interrupts", r"^vireo: error: device tree: .*interrupt",
         renamed("\0interrupt-parent\0", "\0interrupt-orphan\0"))
    made.append(case("a machine with a GICv2", r"^vireo: error: device tree: it lacks a GICv3", 1,
                     machine_options=",gic-version=2"))

    for kind, text in (("bounds", "Swift runtime failure: Index out of bounds"), ("abort", "a null pointer"),
                       ("write", "which its page does not permit"), ("stack", "stack overflow")):
        made.append(case(f"trap={kind}", text, 70, append=f"check trap={kind}"))
    made.append(case("trap=bounds, its source line", r"at Board/QEMUVirt/Platform/SelfTest\.swift:\d+$", 70,
                     append="check trap=bounds"))

    made.append(case("a start at EL3", "^vireo: started at EL3", 1, append="", kernel=elf,
                     machine_options=",secure=on"))
    for name, kernel, options in (("a bare ELF", elf, ""), ("a bare ELF at EL2", elf, ",virtualization=on"),
                                  ("an image at EL2", image, ",virtualization=on")):
        made.append(case(f"{name}, ended by typing exit", "^vireo: result=pass", 0, append="", kernel=kernel,
                         devices=entropy, machine_options=options, on_line=type_exit))
    without = case("an end without semihosting, by PSCI", "^vireo: result=pass", 0, append="",
                   devices=entropy, on_line=type_exit)
    without.run.command.remove("-semihosting")
    made.append(without)
    return made


def type_exit(run, line):
    """Answers the greeting of the prompt."""
    if line.startswith(b"Type help"):
        run.type("exit\r")
