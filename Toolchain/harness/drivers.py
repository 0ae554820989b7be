"""Boots the driver image: with a person at the console, or to check it. Called by Toolchain/boot."""

import argparse
import os
import subprocess
import sys
import tempfile

import drivers_check
import machine
import truth
from symbols import Symbols, filter_console


def main():
    parser = argparse.ArgumentParser(prog="Toolchain/boot drivers", allow_abbrev=False)
    parser.add_argument("--check", action="store_true", help="compare all results with the host's truth")
    parser.add_argument("--disk", help="the disk, a raw image; changes are not kept")
    parser.add_argument("--append", default="", help="boot options of the image")
    parser.add_argument("--only", default="", help="with --check: only the runs whose name contains this")
    parser.add_argument("--verbose", action="store_true", help="with --check: show every console")
    options = parser.parse_args()
    symbols = Symbols(machine.IMAGE + ".elf", os.environ["VIREO_TOOLCHAIN"], os.environ["VIREO_TOP"])
    try:
        if options.disk:
            machine.check_disk(options.disk)
        with tempfile.TemporaryDirectory(prefix="vireo.") as folder:
            if options.check:
                return drivers_check.run_all(folder, symbols, options)
            return interact(folder, symbols, options)
    except machine.InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def interact(folder, symbols, options):
    """The image on this terminal, its output with source lines added."""
    rings = machine.Rings(packed=True, in_order=True)
    disk = options.disk or os.path.join(folder, "disk.img")
    if not options.disk:
        with open(disk, "wb") as file:
            file.write(truth.content("vireo disk", truth.DISK_BYTES))
    served = os.path.join(folder, "served")
    os.mkdir(served)
    with open(os.path.join(served, "vireo-boot.bin"), "wb") as file:
        file.write(truth.content("vireo file", truth.SERVED_BYTES))
    console, port = os.path.join(folder, "console"), os.path.join(folder, "port")
    command = machine.base_command(machine.IMAGE + ".img", options.append)
    command += machine.block(disk, rings, snapshot=True) + machine.network(served, rings)
    command += machine.entropy(None, rings) + machine.console(console, port, rings)
    command += ["-serial", "mon:stdio"]
    print("\033[1mVireo\033[0m on QEMU virt: bare-metal Swift and QEMU's virtio devices")
    print(f"  disk       {options.disk or 'pseudo-random, 8 MiB'} (changes are not kept)")
    print("  network    user mode, DHCP and TFTP of vireo-boot.bin")
    print(f"  console    {console}")
    print(f"  port       {port} (vireo.echo)")
    print("  end        exit, or Ctrl-A X\n", flush=True)
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    filter_console(process.stdout.fileno(), symbols)
    return process.wait()


if __name__ == "__main__":
    sys.exit(main())
