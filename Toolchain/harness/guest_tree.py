"""The device tree of QEMU's virt machine without what no guest of the guest host has: for a comparison of
both with the same work.
"""

import struct
import subprocess

from machine import quoted

BEGIN, END, PROPERTY, NOTHING, LAST = 1, 2, 3, 4, 9
# Of the first level; of virtio-mmio those with a device.
KEPT = ("cpus", "memory", "intc", "timer", "psci", "chosen", "aliases")
# Of all nodes: a console that is not there, and numbers by which a kernel moves itself about.
LEFT_OUT = ("stdout-path", "serial0", "kaslr-seed", "rng-seed")
SLOT = "virtio_mmio@"
SLOT_BASE, SLOT_BYTES, SLOT_COUNT = 0x0A00_0000, 0x200, 32


def write(board, device_count, path):
    """Writes the tree of the machine that a QEMU command starts, with its first virtio devices."""
    machine = board.index("-M") + 1
    dump = board[:machine] + [f"{board[machine]},dumpdtb={quoted(path)}"] + board[machine + 1:]
    subprocess.run(dump + ["-nodefaults", "-display", "none"], check=True, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL, timeout=60)
    # Devices are in the last slots.
    used = {SLOT_BASE + SLOT_BYTES * slot for slot in range(SLOT_COUNT - device_count, SLOT_COUNT)}
    with open(path, "rb") as file:
        tree = filtered(file.read(), lambda name: is_kept(name, used))
    with open(path, "wb") as file:
        file.write(tree)


def is_kept(name, used):
    if name.startswith(SLOT):
        return int(name[len(SLOT):], 16) in used
    return name.split("@")[0] in KEPT


def filtered(tree, keep):
    """A flattened tree with those nodes of the first level only that `keep`, without caches and clusters of
    cores, interrupts by message and the properties `LEFT_OUT`.
    """
    fields = list(struct.unpack_from(">10I", tree))
    structure, strings, reserved = fields[2:5]
    names = tree[strings:strings + fields[8]]
    out, place, depth, dropped = bytearray(), structure, 0, None

    def text(start, data):
        return data[start:data.index(b"\0", start)].decode("ascii")

    while True:
        start, token = place, struct.unpack_from(">I", tree, place)[0]
        place += 4
        if token == BEGIN:
            name = text(place, tree)
            place = aligned(place + len(name) + 1)
            depth += 1
            inside = name == "cpu-map" or name.startswith(("v2m@", "its@"))
            if dropped is None and (inside or depth == 2 and not keep(name)):
                dropped = depth
        elif token == PROPERTY:
            length, name_offset = struct.unpack_from(">2I", tree, place)
            place = aligned(place + 8 + length)
            if text(name_offset, names) in LEFT_OUT:
                continue
        elif token == LAST:
            out += tree[start:place]
            break
        if dropped is None:
            out += tree[start:place]
        if token == END:
            if dropped == depth:
                dropped = None
            depth -= 1
    # Header, reservations (none), structure, names.
    fields[2], fields[3], fields[4] = 56, 56 + len(out), 40
    fields[9] = len(out)
    fields[1] = 56 + len(out) + len(names)
    return struct.pack(">10I", *fields) + bytes(16) + bytes(out) + names


def aligned(offset):
    return (offset + 3) & ~3
