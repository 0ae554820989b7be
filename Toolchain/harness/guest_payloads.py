"""Test guests of the guest host: built from Tests/Guest, booted in QEMU."""

import os
import pathlib
import subprocess

import symbols

TOP = pathlib.Path(os.environ["VIREO_TOP"])
IMAGE = TOP / ".build-image" / "guest-host.img"
TOOLCHAIN = os.environ["VIREO_TOOLCHAIN"]
KERNEL = 0x50000000  # where a loader leaves the kernel, by Board/QEMUVirt/GuestHost/Layout.swift
TIME_LIMIT = 300
EL2 = "virt,virtualization=on,gic-version=3"
SOURCES = TOP / "Tests" / "Guest"
TARGET = ["clang", "--target=aarch64-none-elf"]
# With its MMU off a guest has device memory only: no unaligned access, and no call of memcpy.
C_FLAGS = ["-O2", "-ffreestanding", "-fno-builtin", "-fpie", "-fno-stack-protector", "-mstrict-align",
           "-Wall", "-Wextra", "-Werror"]


def build_assembly(folder, name):
    """A guest of one assembly file, as the raw image that a loader puts where kernels go."""
    objects, raw = folder / f"{name}.o", folder / f"{name}.bin"
    subprocess.run(TARGET + ["-c", SOURCES / f"{name}.S", "-o", objects], check=True)
    subprocess.run(["llvm-objcopy", "-O", "binary", "--only-section=.text", objects, raw], check=True)
    return raw


def build(folder, name, *others):
    """A guest of some files in C."""
    objects = []
    for source in ("start.S", f"{name}.c") + others:
        objects.append(folder / f"{name}-{source}.o")
        subprocess.run(TARGET + C_FLAGS + ["-c", SOURCES / source, "-o", objects[-1]], check=True)
    elf, raw = folder / f"{name}.elf", folder / f"{name}.bin"
    subprocess.run(["ld.lld", "-pie", "--no-dynamic-linker", "-T", SOURCES / "guest.ld", "-o", elf] + objects,
                   check=True)
    subprocess.run(["llvm-objcopy", "-O", "binary", elf, raw], check=True)
    return raw


def command(options="cores=1", kernel=None, cores=1, memory="1G", machine=EL2, more=()):
    """QEMU's command line."""
    line = [os.environ["VIREO_QEMU"], "-M", machine, "-cpu", "cortex-a72", "-smp", str(cores), "-m", memory]
    line += ["-nodefaults", "-display", "none", "-serial", "stdio", "-semihosting", "-kernel", IMAGE]
    line += ["-append", options]
    if kernel:
        line += ["-device", f"loader,file={kernel},addr={KERNEL:#x},force-raw=on"]
    return line + list(more)


def run(*arguments, folder=None, **named):
    """Boots the image to its end, in a folder; returns QEMU's exit status and the console's text."""
    result = subprocess.run(command(*arguments, **named), stdin=subprocess.DEVNULL, capture_output=True,
                            timeout=TIME_LIMIT, cwd=folder)
    text = (result.stdout + result.stderr).decode(errors="replace").replace("\r", "")
    return result.returncode, "\n".join(explained(text.split("\n")))


def explained(lines):
    """The lines, with the functions and source lines below each call of a backtrace."""
    explain = symbols.Symbols(str(IMAGE.with_suffix(".elf")), TOOLCHAIN, str(TOP)).explain
    return [text for line in lines for text in [line] + [more.decode() for more in explain(line.encode())]]
