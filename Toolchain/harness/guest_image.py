"""Makes the initial RAM disk and the disk of a Linux guest from unpacked packages. Called by Toolchain/guest.

    guest_image.py initrd PROGRAMS KERNEL OVERLAY FILE   an archive (cpio, newc) that needs no root to make
    guest_image.py root FOLDER OVERLAY                   turns unpacked packages into a root file system
    guest_image.py disk FOLDER FILE                      a disk with FOLDER as its first partition
"""

import lzma
import os
import pathlib
import re
import shutil
import stat
import struct
import subprocess
import sys

# What a guest needs before it has its root file system, and what makes its devices go. A kernel may have any
# of them built in.
MODULES = ("virtio_mmio", "virtio_blk", "virtio_net", "virtio_console", "virtio_rng", "ext4",
           "crc32c_generic", "af_packet")
# What makes the resources of its SCMI agent go, as far as the kernel has it: a supply with a clock, and who
# switches supplies, the better one first.
OPTIONAL = ("crc32c_generic", "af_packet", "scmi_transport_virtio", "scmi_regulator", "pinctrl_scmi",
            "fixed", "userspace_consumer", "leds_regulator", "virtual", "scmi_power_control", "scmi_hwmon",
            "arm_scmi_powercap")
# What is put beside them, for those who want it: it changes how a guest runs, or finds nothing in some.
LATER = ("scmi_cpufreq", "cpufreq_userspace", "pwm_clk", "scmi_iio", "sensor_trips", "virtio_mem")
PROGRAMS = {"bin/busybox": "usr/bin/busybox", "sbin/e2fsck": "usr/sbin/e2fsck.static"}
DEVICES = {"dev/console": (5, 1), "dev/null": (1, 3)}
DEPENDS = re.compile(rb"(?:^|\0)depends=([^\0]*)\0")

# Not of use in a guest of this kind.
LEFT_OUT = ("usr/share/doc", "usr/share/man", "usr/share/locale", "usr/share/info", "usr/share/lintian",
            "usr/share/bash-completion", "usr/share/fio", "usr/include", "usr/lib/aarch64-linux-gnu/gconv",
            "usr/lib/aarch64-linux-gnu/perl-base", "etc/init.d", "etc/cron.daily")
# Busybox fills in what no package of the list has.
APPLETS = ("usr/sbin/init", "usr/sbin/getty", "usr/sbin/poweroff", "usr/sbin/reboot", "usr/sbin/halt",
           "usr/sbin/udhcpc", "usr/bin/login", "usr/bin/wget", "usr/bin/vi", "usr/bin/nc", "usr/bin/clear",
           "usr/bin/stty", "usr/bin/awk", "usr/bin/xxd", "usr/bin/tar", "usr/sbin/httpd")
MOUNT_POINTS = ("dev", "proc", "sys", "run", "tmp", "mnt", "lib/modules")

SECTOR = 512
MEBIBYTE = 1 << 20
ROOT_START, ROOT_BYTES = 1 * MEBIBYTE, 511 * MEBIBYTE
SCRATCH_START, SCRATCH_BYTES = 512 * MEBIBYTE, 512 * MEBIBYTE
LINUX_PARTITION = 0x83


class Archive:
    """A cpio archive in the format that Linux unpacks; everything in it belongs to root."""

    def __init__(self, file):
        self.file = file
        self.number = 0
        self.folders = set()

    def add(self, name, mode, data=b"", device=(0, 0)):
        self.number += 1
        fields = (self.number, mode, 0, 0, 1, 0, len(data), 0, 0, *device, len(name) + 1, 0)
        self.write(b"070701" + b"".join(b"%08x" % field for field in fields) + name.encode() + b"\0")
        self.write(data)

    def write(self, data):
        self.file.write(data + bytes(-len(data) % 4))

    def folder(self, name):
        if name and name not in self.folders:
            self.folder(os.path.dirname(name))
            self.folders.add(name)
            self.add(name, stat.S_IFDIR | 0o755)

    def put(self, name, data, mode=0o644):
        self.folder(os.path.dirname(name))
        self.add(name, stat.S_IFREG | mode, data)

    def node(self, name, device):
        self.folder(os.path.dirname(name))
        self.add(name, stat.S_IFCHR | 0o600, device=device)

    def end(self):
        self.add("TRAILER!!!", 0)


def modules(kernel):
    """The modules in the order in which they are inserted, what they are, and how many of them come first;
    empty for a kernel without modules."""
    files = {}
    for path in pathlib.Path(kernel).rglob("*.ko*"):
        files[path.name.split(".")[0].replace("-", "_")] = path
    builtin = {pathlib.Path(line).stem.replace("-", "_")
               for path in pathlib.Path(kernel).rglob("modules.builtin") for line in path.read_text().split()}
    found = {}

    def need(name, optional=False):
        if name in found or name in builtin or (optional and name not in files):
            return
        if name not in files:
            sys.exit(f"error: the kernel's module {name} is missing")
        path = files[name]
        data = lzma.decompress(path.read_bytes()) if path.suffix == ".xz" else path.read_bytes()
        for other in filter(None, DEPENDS.search(data).group(1).decode().split(",")):
            need(other.replace("-", "_"))
        found[name] = data

    for name in MODULES:
        need(name, optional=not files or name in OPTIONAL)
    for name in OPTIONAL:
        need(name, optional=True)
    first = len(found)
    for name in LATER:
        need(name, optional=True)
    return found, first


def make_initrd(programs, kernel, overlay, out):
    with open(out, "wb") as file:
        archive = Archive(file)
        for name, device in DEVICES.items():
            archive.node(name, device)
        for name, source in PROGRAMS.items():
            archive.put(name, (pathlib.Path(programs) / source).read_bytes(), 0o755)
        found, first = modules(kernel)
        for name, data in found.items():
            archive.put(f"lib/modules/{name}.ko", data)
        for name, part in (("order", list(found)[:first]), ("later", list(found)[first:])):
            archive.put(f"lib/modules/{name}", "".join(name + "\n" for name in part).encode())
        for name in ("proc", "sys", "run", "root", "tmp"):
            archive.folder(name)
        for path in files_of(overlay):
            archive.put(str(path.relative_to(overlay)), path.read_bytes(), path.stat().st_mode & 0o777)
        archive.end()


def files_of(folder):
    return sorted(path for path in pathlib.Path(folder).rglob("*") if path.is_file())


def make_root(folder, overlay):
    root = pathlib.Path(folder)
    for name in LEFT_OUT:
        shutil.rmtree(root / name, ignore_errors=True)
    for name in MOUNT_POINTS:
        (root / name).mkdir(parents=True, exist_ok=True)
    for name in APPLETS:
        if not os.path.lexists(root / name):
            (root / name).symlink_to("/usr/bin/busybox")
    for link, target in (("usr/bin/sh", "dash"), ("etc/mtab", "/proc/self/mounts")):
        if not os.path.lexists(root / link):
            (root / link).symlink_to(target)
    for path in files_of(overlay):
        target = root / path.relative_to(overlay)
        target.parent.mkdir(parents=True, exist_ok=True)
        if os.path.lexists(target):
            target.unlink()
        shutil.copy(path, target)


def make_disk(folder, out):
    """An ext4 file system as the first partition, and a second one for tests, in a sparse file."""
    system = out + ".root"
    run("mke2fs", "-q", "-t", "ext4", "-L", "vireo-root", "-E", "root_owner=0:0", "-b", "4096", "-d", folder,
        system, str(ROOT_BYTES // 4096), stdout=subprocess.DEVNULL)
    if os.getuid() != 0:
        give_to_root(folder, system)
    with open(out, "wb") as disk, open(system, "rb") as source:
        disk.truncate(SCRATCH_START + SCRATCH_BYTES)
        disk.write(partition_table((ROOT_START, ROOT_BYTES), (SCRATCH_START, SCRATCH_BYTES)))
        disk.seek(ROOT_START)
        while block := source.read(MEBIBYTE):
            if any(block):
                disk.write(block)
            else:
                disk.seek(len(block), os.SEEK_CUR)
    os.remove(system)


def give_to_root(folder, system):
    """mke2fs keeps the owners of the files that it copies; in a guest they are root's."""
    lines = []
    for parent, folders, files in os.walk(folder):
        for name in folders + files:
            path = os.path.relpath(os.path.join(parent, name), folder)
            lines += [f'set_inode_field "/{path}" uid 0', f'set_inode_field "/{path}" gid 0']
    run("debugfs", "-w", "-f", "-", system, input="\n".join(lines).encode(), stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL)


def run(*command, **options):
    try:
        subprocess.run(command, check=True, **options)
    except FileNotFoundError:
        sys.exit(f"error: {command[0]} is missing; it is in the package e2fsprogs")
    except subprocess.CalledProcessError as error:
        sys.exit(f"error: {command[0]} failed with status {error.returncode}")


def partition_table(*partitions):
    """A master boot record."""
    entries = b"".join(struct.pack("<B3sB3sII", 0, b"\xfe\xff\xff", LINUX_PARTITION, b"\xfe\xff\xff",
                                   start // SECTOR, size // SECTOR) for start, size in partitions)
    return bytes(446) + entries.ljust(64, b"\0") + b"\x55\xaa"


if __name__ == "__main__":
    {"initrd": make_initrd, "root": make_root, "disk": make_disk}[sys.argv[1]](*sys.argv[2:])
