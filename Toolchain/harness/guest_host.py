"""Boots the guest host with guests of a few instructions, and without what it needs.

Called by Toolchain/test.
"""

import pathlib
import sys
import tempfile

import guest_agent
import guest_hostile
import guest_measure
import guest_payloads
import guest_trace_check


def bad_input(payload):
    """What cannot be run: a name, how to start it, and what is said about it, which tells what to change."""
    def case(name, text, options="cores=1", kernel=payload, **named):
        return name, dict(options=options, kernel=kernel, **named), 1, text

    two = dict(options="guests=2 cores=1,1", cores=2)
    return [
        case("no kernel", "no arm64 Linux image at 0x50000000: load", kernel=None),
        case("too little memory", "too little memory for guest 0: give QEMU -m 1024M", memory="512M"),
        case("too little memory for two", "too little memory for guest 1: give QEMU -m 1536M", **two),
        case("too few cores", "give QEMU -smp 2", options=""),
        case("guests that overlap", "guest 1 overlaps that of guest 0: make ram= smaller", memory="4G",
             cores=2, options="guests=2 cores=1,1 ram=1024"),
        case("an odd amount of memory", "change ram=", "cores=1 ram=301"),
        case("a kernel too large", "the kernel is larger than its place", "cores=1 kernel=134217729"),
        case("a RAM disk too large", "RAM disk is larger than its place", "cores=1 initrd=999999999"),
        case("no number of bytes", "initrd= takes the length", "initrd=x"),
        case("no guest", "guests= takes a number", "guests=0"),
        case("no core", "cores= takes", "cores=1,0"),
        case("an unknown ring format", "rings= takes", "cores=1 rings=round"),
        case("a start at EL1", "needs EL2: start QEMU with", machine="virt,gic-version=3"),
        case("an old interrupt controller", "QEMU: -M virt,gic-version=3", machine="virt,virtualization=on"),
    ]


def failures(idle):
    """What the report of a failure on a core with a stack of its own says, beside a guest that never ends."""
    kinds = [("bounds", "Swift runtime failure: Index out of bounds"), ("abort", "a null pointer"),
             ("write", "which its page does not permit"), ("stack", "stack overflow"),
             ("bounds", "at Board/QEMUVirt/Platform/SelfTest.swift:"), ("bounds", "sp   0x000000004"),
             ("bounds", "machine_secondary at Sources/CMachine/start.S:")]
    return [(f"trap={kind}: {text}", dict(kernel=idle, options=f"cores=1 trap={kind}", cores=2), 70, text)
            for kind, text in kinds]


def check(name, arguments, status, text):
    """Whether a run ends with that status and says that text."""
    got, console = guest_payloads.run(**arguments)
    good = got == status and text in console
    print(f"{'passed' if good else 'FAILED'}  {name}", flush=True)
    if not good:
        print(f"        exit status {got}, not {status}, or no {text!r} in:\n{console}")
    return good


def main():
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        payload = guest_payloads.build_assembly(folder, "payload")
        cases = [
            ("a guest that tries everything", dict(kernel=payload), 0, "." * 19 + "\n"),
            ("two guests that try everything",
             dict(kernel=payload, options="guests=2 cores=1,1", cores=2, memory="2G"), 0,
             "guest 1 powered off"),
            ("four guests that try everything",
             dict(kernel=payload, options="guests=4 cores=1,1,1,1", cores=4, memory="2560M"), 0,
             "guest 3 powered off"),
            ("no hardware disk", dict(kernel=payload), 0,
             "has no hardware disk, and gets a RAM disk: give QEMU one more virtio-blk-device"),
        ]
        idle = guest_payloads.build_assembly(folder, "idle")
        results = [check(*case) for case in cases + bad_input(payload) + failures(idle)]
        crash = guest_payloads.build(folder, "crash")
        results.append(check("a guest without exception vectors beside one that goes on",
                             dict(kernel=crash, options="guests=2 cores=1,1", cores=2, memory="2G"), 73,
                             "vireo: guest 1 powered off"))
        results += guest_agent.checks(folder)
        results += guest_hostile.checks(folder)
        results += guest_measure.checks(folder)
        results += guest_trace_check.checks(folder)
    print(f"{sum(results)} passed, {len(results) - sum(results)} failed")
    return 0 if all(results) else 1


sys.exit(main())
