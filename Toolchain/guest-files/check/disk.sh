# disk.sh MEBIBYTES: a file system, and fio, which verifies what it reads, on it and on the bare partition.
set -e
device=/dev/vda2
verified() { # NAME OPTION...
  fio --name="$@" --ioengine=libaio --direct=1 --do_verify=1 --verify_fatal=1
}
mkfs.ext4 -q -F "$device"
mount "$device" /mnt
verified files --directory=/mnt --numjobs=2 --size="$1m" --rw=randwrite --bsrange=4k-64k --iodepth=16 \
  --verify=crc32c --end_fsync=1
umount /mnt
e2fsck -fn "$device"
verified device --filename="$device" --size="$1m" --rw=randrw --bsrange=512-256k --blockalign=512 \
  --iodepth=32 --verify=sha256 --verify_backlog=64
