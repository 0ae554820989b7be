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
GUEST_MEMORY = 0x50000000
TIME_LIMIT = 300


def build_payload(folder):
    """The test guest as the raw image that a loader puts at the start of guest memory."""
    objects, raw = folder / "payload.o", folder / "payload.bin"
    source = TOP / "Tests" / "Guest" / "payload.S"
    subprocess.run(["clang", "--target=aarch64-none-elf", "-c", source, "-o", objects], check=True)
    subprocess.run(["llvm-objcopy", "-O", "binary", "--only-section=.text", objects, raw], check=True)
    return raw


def run(machine, memory, kernel=None, options=""):
    """Boots the image; returns QEMU's exit status and the console's text."""
    command = [os.environ["VIREO_QEMU"], "-M", machine, "-cpu", "cortex-a72", "-m", memory, "-nodefaults"]
    command += ["-display", "none", "-serial", "stdio", "-semihosting", "-kernel", IMAGE, "-append", options]
    if kernel:
        command += ["-device", f"loader,file={kernel},addr={GUEST_MEMORY:#x},force-raw=on"]
    result = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=TIME_LIMIT)
    return result.returncode, (result.stdout + result.stderr).decode(errors="replace")


def main():
    el2 = "virt,virtualization=on,gic-version=3"
    with tempfile.TemporaryDirectory() as folder:
        payload = build_payload(pathlib.Path(folder))
        cases = [
            ("a guest that tries everything", (el2, "1G", payload), 0, "." * 19 + "\n"),
            ("no kernel", (el2, "1G"), 1, "no arm64 Linux image"),
            ("too little memory", (el2, "512M", payload), 1, "too little memory"),
            ("a RAM disk too large", (el2, "1G", payload, "initrd=999999999"), 1, "larger than its place"),
            ("no number of bytes", (el2, "1G", payload, "initrd=x"), 1, "takes the length"),
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
