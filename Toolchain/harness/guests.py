"""Boots the guest host with Linux guests: with a person at the console, or to check it.

Called by Toolchain/boot.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time

import guest_machine
import guest_trace
import guests_check
import machine
from symbols import Symbols, filter_console

KERNELS = {"6.12": (), "7.3": ("--newest",), "built": ("--build",)}
# The same with all of SCMI's drivers, where the kernel leaves them out.
DRIVERS = {"6.12": ("--modules",), "7.3": ("--newest", "--modules")}


def main():
    parser = argparse.ArgumentParser(prog="Toolchain/boot", allow_abbrev=False)
    parser.add_argument("--check", action="store_true", help="run the acceptance, unattended")
    parser.add_argument("--quick", action="store_true", help="with --check: less of everything")
    parser.add_argument("--reference", action="store_true", help="with --check: on QEMU's own devices")
    parser.add_argument("--guests", type=int, default=1, help="how many guests; 1")
    parser.add_argument("--kernel", help="6.12, 7.3, built, or a file")
    parser.add_argument("--rings", choices=("split", "packed"), help="the ring format that is offered")
    parser.add_argument("--scmi", choices=tuple(guest_machine.SCMI),
                        help="how guests reach their SCMI platform; mixed: some so, some so")
    parser.add_argument("--disk", action="append", default=[], help="a guest's disk, a raw image")
    parser.add_argument("--trace", help="where to write a trace, when all guests are off")
    parser.add_argument("--only", default="", help="with --check: only the rows whose name contains this")
    parser.add_argument("--verbose", action="store_true", help="with --check: show every console")
    options = parser.parse_args()
    try:
        for disk in options.disk:
            machine.check_disk(disk)
        return check(options) if options.check else interact(options)
    except machine.InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def parts(kernel, needs_drivers):
    if kernel in KERNELS:
        return guest_machine.Parts(DRIVERS.get(kernel, KERNELS[kernel]) if needs_drivers else KERNELS[kernel])
    return guest_machine.Parts(kernel=kernel)


def check(options):
    """Every kernel with every ring format; returns the exit status."""
    started = time.monotonic()
    kernels = [options.kernel] if options.kernel else ["6.12", "7.3"]
    rings = [options.rings] if options.rings else ["split", "packed"]
    runs = [(kernel, ring) for kernel in kernels for ring in rings]
    if options.quick and len(runs) == 4:
        runs = [("6.12", "split"), ("7.3", "packed")]
    kind = guest_machine.Reference if options.reference else guest_machine.GuestHost
    echo = (lambda name, line: print(f"    {name} | {line}", flush=True)) if options.verbose else None
    table = guests_check.Table()
    sizes = guests_check.Sizes(options.quick)
    for kernel, ring in runs:
        scmi = options.scmi or "mixed"
        print(f"\033[1mLinux {kernel}, {ring} rings, SCMI over {scmi}\033[0m", flush=True)
        made = parts(kernel, True)
        guests_check.run_rows(lambda folder: kind(made, folder, rings=ring, scmi=scmi, echo=echo),
                              sizes, ring, options.only, table)
    print(f"\n{table.passed} passed, {table.failed} failed ({time.monotonic() - started:.0f} s)", flush=True)
    return 0 if table.passed and not table.failed else 1


def interact(options):
    """The guests with the host's console on this terminal."""
    made = parts(options.kernel or "6.12", options.scmi in ("virtio", "mixed"))
    symbols = Symbols(machine.IMAGE + ".elf", os.environ["VIREO_TOOLCHAIN"], os.environ["VIREO_TOP"])
    disks = [os.path.abspath(disk) for disk in options.disk]
    disks += [made.disk] * (options.guests - len(disks))
    rings = options.rings or "packed"
    append = guest_machine.host_options(made.kernel, made.initrd, options.guests, rings,
                                        options.scmi or "hvc")
    append += " trace" if options.trace else ""
    # Guest 0 has two cores, each other one; one more takes the interrupts of the hardware.
    command = guest_machine.host_command(made.kernel, made.initrd, append, options.guests + 2, options.guests)
    for number, disk in enumerate(disks):
        mode = "" if number < len(options.disk) else ",snapshot=on"
        command += guest_machine.drive(f"disk{number}", disk, mode)
    command += guest_machine.host_network() + ["-display", "none", "-serial", "mon:stdio"]
    print("\033[1mLinux on Vireo\033[0m, on QEMU virt: bare-metal Swift between a stock kernel and hardware")
    print(f"  guests     {options.guests}, Linux {options.kernel or '6.12'}")
    print(f"  disk       {', '.join(options.disk) or 'a root file system of Debian; changes are not kept'}")
    print(f"  rings      {rings}")
    print("  keys       Ctrl-T and a digit: the console of that guest; r, o: restart it, power it off")
    print("  end        Ctrl-A X, or poweroff in every guest\n", flush=True)
    # The guest host writes its trace where QEMU runs.
    with tempfile.TemporaryDirectory() as folder:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=folder)
        filter_console(process.stdout.fileno(), symbols)
        status = process.wait()
        if options.trace and status == 0:
            guest_trace.main(os.path.join(folder, "vireo-trace.bin"), options.trace)
            print(f"trace: {options.trace}; open it at ui.perfetto.dev")
    return status


if __name__ == "__main__":
    sys.exit(main())
