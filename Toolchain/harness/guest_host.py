"""Boots the guest host with guests of a few instructions, and without what it needs.

Called by Toolchain/test.
"""

import os
import pathlib
import subprocess
import sys
import tempfile

TOP = pathlib.Path(os.environ["VIREO_TOP"])
IMAGE = TOP / ".build-image" / "guest-host.img"
KERNEL = 0x50000000  # where a loader leaves the kernel, by Board/QEMUVirt/GuestHost/Layout.swift
TIME_LIMIT = 300


def build_payload(folder):
    """The test guest as the raw image that a loader puts where kernels go."""
    objects, raw = folder / "payload.o", folder / "payload.bin"
    source = TOP / "Tests" / "Guest" / "payload.S"
    subprocess.run(["clang", "--target=aarch64-none-elf", "-c", source, "-o", objects], check=True)
    subprocess.run(["llvm-objcopy", "-O", "binary", "--only-section=.text", objects, raw], check=True)
    return raw


def run(machine, memory, kernel=None, options="cores=1", cores=1):
    """Boots the image; returns QEMU's exit status and the console's text."""
    command = [os.environ["VIREO_QEMU"], "-M", machine, "-cpu", "cortex-a72", "-smp", str(cores)]
    command += ["-m", memory, "-nodefaults", "-display", "none", "-serial", "stdio", "-semihosting"]
    command += ["-kernel", IMAGE, "-append", options]
    if kernel:
        command += ["-device", f"loader,file={kernel},addr={KERNEL:#x},force-raw=on"]
    result = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=TIME_LIMIT)
    return result.returncode, (result.stdout + result.stderr).decode(errors="replace")


def main():
    el2 = "virt,virtualization=on,gic-version=3"
    with tempfile.TemporaryDirectory() as folder:
        payload = build_payload(pathlib.Path(folder))
        cases = [
            ("a guest that tries everything", (el2, "1G", payload), 0, "." * 19 + "\n"),
            ("two guests that try everything", (el2, "2G", payload, "guests=2 cores=1,1", 2), 0,
             "guest 1 powered off"),
            ("no kernel", (el2, "1G"), 1, "no arm64 Linux image"),
            ("too little memory", (el2, "512M", payload), 1,
             "too little memory for guest 0: give QEMU -m 1024M"),
            ("too little memory for two", (el2, "1G", payload, "guests=2 cores=1,1", 2), 1,
             "too little memory for guest 1: give QEMU -m 1536M"),
            ("too few cores", (el2, "1G", payload, ""), 1, "give QEMU -smp 2"),
            ("guests that overlap", (el2, "4G", payload, "guests=2 cores=1,1 ram=1024", 2), 1,
             "the memory of guest 1 overlaps that of guest 0: make ram= smaller"),
            ("an odd amount of memory", (el2, "1G", payload, "cores=1 ram=301"), 1, "change ram="),
            ("a kernel too large", (el2, "1G", payload, "cores=1 kernel=134217729"), 1, "kernel is larger"),
            ("a RAM disk too large", (el2, "1G", payload, "cores=1 initrd=999999999"), 1,
             "larger than its place"),
            ("no number of bytes", (el2, "1G", payload, "initrd=x"), 1, "takes the length"),
            ("no guest", (el2, "1G", payload, "guests=0"), 1, "guests= takes a number"),
            ("no core", (el2, "1G", payload, "cores=1,0"), 1, "cores= takes"),
            ("an unknown ring format", (el2, "1G", payload, "cores=1 rings=round"), 1, "rings= takes"),
            ("started at EL1", ("virt,gic-version=3", "1G", payload), 1, "needs EL2"),
            ("an old interrupt controller", ("virt,virtualization=on", "1G", payload), 1, "GICv3"),
        ]
        failed = 0
        for name, arguments, status, text in cases:
            got, console = run(*arguments)
            good = got == status and text in console.replace("\r", "")
            failed += not good
            print(f"{'passed' if good else 'FAILED'}  {name}")
            if not good:
                print(f"        exit status {got}, not {status}, or no {text!r} in:\n{console}")
    print(f"{len(cases) - failed} passed, {failed} failed")
    return 1 if failed else 0


sys.exit(main())
