"""A trace of the guest host as a Chrome trace, which Perfetto (ui.perfetto.dev) opens.

    guest_trace.py vireo-trace.bin trace.json

The format of the former is in Board/QEMUVirt/GuestHost/Trace.swift. A guest is a process, a core a thread.
"""

import collections
import json
import struct
import sys

HEADER = struct.Struct("<8sIIQQQ")
HEADER_BYTES = 64
RECORD = struct.Struct("<QIBBBBQQ")
Record = collections.namedtuple("Record", "start taken kind core guest width address value")
READ, WRITE, CALL, EXIT, HOST_INTERRUPT, GUEST_INTERRUPT, ENTER, LEAVE = range(1, 9)
NO_GUEST = 255
WINDOWS, STRIDE = 0x0A000000, 0x1000
DEVICES = ["console", "disk", "network", "entropy"]
FIRST_INTERRUPT, INTERRUPTS = 176, 8
# virtio 1.4 §4.2.2 MMIO Device Register Layout
REGISTERS = {
    0x000: "MagicValue", 0x004: "Version", 0x008: "DeviceID", 0x00C: "VendorID", 0x010: "DeviceFeatures",
    0x014: "DeviceFeaturesSel", 0x020: "DriverFeatures", 0x024: "DriverFeaturesSel", 0x030: "QueueSel",
    0x034: "QueueSizeMax", 0x038: "QueueSize", 0x044: "QueueReady", 0x050: "QueueNotify",
    0x060: "InterruptStatus", 0x064: "InterruptACK", 0x070: "Status", 0x080: "QueueDescLow",
    0x084: "QueueDescHigh", 0x090: "QueueDriverLow", 0x094: "QueueDriverHigh", 0x0A0: "QueueDeviceLow",
    0x0A4: "QueueDeviceHigh", 0x0AC: "SHMSel", 0x0B0: "SHMLenLow", 0x0B4: "SHMLenHigh", 0x0B8: "SHMBaseLow",
    0x0BC: "SHMBaseHigh", 0x0C0: "QueueReset", 0x0FC: "ConfigGeneration",
}
CALLS = {
    0x84000000: "PSCI_VERSION", 0x84000001: "CPU_SUSPEND", 0x84000002: "CPU_OFF", 0x84000003: "CPU_ON",
    0x84000004: "AFFINITY_INFO", 0x84000006: "MIGRATE_INFO_TYPE", 0x84000008: "SYSTEM_OFF",
    0x84000009: "SYSTEM_RESET", 0x8400000A: "PSCI_FEATURES", 0x84000012: "SYSTEM_RESET2",
    0x80000000: "SMCCC_VERSION", 0x80000001: "SMCCC_ARCH_FEATURES",
}


class TraceError(Exception):
    """The file is not a trace; the text says why."""


def read(data):
    """The ticks in a second, how many records were lost, and the others, the oldest first."""
    if len(data) < HEADER_BYTES:
        raise TraceError("it is shorter than a header")
    magic, version, size, capacity, written, frequency = HEADER.unpack_from(data)
    if magic != b"VIREOTRC" or version != 1 or size != RECORD.size or frequency == 0 or capacity == 0:
        raise TraceError("its header is not that of a trace of version 1")
    kept = min(written, capacity)
    if len(data) < HEADER_BYTES + kept * size:
        raise TraceError("it ends within its records")
    records = [Record(*RECORD.unpack_from(data, HEADER_BYTES + number % capacity * size))
               for number in range(written - kept, written)]
    return frequency, written - kept, records


def place(address):
    """What a guest address belongs to."""
    slot, offset = divmod(address - WINDOWS, STRIDE)
    if 0 <= slot < len(DEVICES):
        other = f"configuration {offset - 0x100:#x}" if offset >= 0x100 else f"{offset:#x}"
        return f"{DEVICES[slot]} {REGISTERS.get(offset, other)}"
    if 0x08000000 <= address < 0x08010000:
        return f"GICD {address - 0x08000000:#x}"
    if 0x080A0000 <= address < 0x09000000:
        return f"GICR {address - 0x080A0000:#x}"
    return f"{address:#x}"


def interrupt(identifier):
    guest, slot = divmod(identifier - FIRST_INTERRUPT, INTERRUPTS)
    return f"{DEVICES[slot]} interrupt" if guest >= 0 and slot < len(DEVICES) else f"interrupt {identifier}"


def event(record, frequency):
    """One event of the Chrome trace format."""
    names = {
        READ: lambda: "read " + place(record.address),
        WRITE: lambda: "notify " + place(record.address).split()[0] if is_notification(record)
        else "write " + place(record.address),
        CALL: lambda: CALLS.get(record.address & ~(1 << 30), f"call {record.address:#x}"),
        EXIT: lambda: f"exit, exception class {record.address >> 26 & 0x3f:#x}",
        HOST_INTERRUPT: lambda: f"host interrupt {record.address}",
        GUEST_INTERRUPT: lambda: interrupt(record.address),
        ENTER: lambda: "enter",
        LEAVE: lambda: "leave",
    }
    categories = {READ: "access", WRITE: "access", CALL: "call", EXIT: "exit", ENTER: "core", LEAVE: "core"}
    category = "queue" if is_notification(record) else categories.get(record.kind, "interrupt")
    result = {
        "name": names[record.kind]() if record.kind in names else f"kind {record.kind}", "cat": category,
        "pid": record.guest, "tid": record.core, "ts": record.start * 1e6 / frequency,
        "args": {"address": hex(record.address), "value": hex(record.value), "width": record.width},
    }
    if record.kind in (GUEST_INTERRUPT, ENTER, LEAVE):
        return {**result, "ph": "i", "s": "t"}
    return {**result, "ph": "X", "dur": record.taken * 1e6 / frequency}


def is_notification(record):
    return (record.kind == WRITE and record.address & (STRIDE - 1) == 0x50
            and WINDOWS <= record.address < WINDOWS + len(DEVICES) * STRIDE)


def convert(data):
    """The trace as an object to be written as JSON."""
    frequency, lost, records = read(data)
    events = [{"name": "process_name", "ph": "M", "pid": guest, "tid": 0,
               "args": {"name": "host" if guest == NO_GUEST else f"guest {guest}"}}
              for guest in sorted({record.guest for record in records})]
    events += [{"name": "thread_name", "ph": "M", "pid": guest, "tid": core, "args": {"name": f"core {core}"}}
               for guest, core in sorted({(record.guest, record.core) for record in records})]
    events += [event(record, frequency) for record in records]
    return {"traceEvents": events, "displayTimeUnit": "ns", "otherData": {"lost records": lost}}


def main(source, target):
    try:
        with open(source, "rb") as file:
            trace = convert(file.read())
    except (OSError, TraceError) as error:
        sys.exit(f"{source}: {error}")
    with open(target, "w") as file:
        json.dump(trace, file)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
