# trim.sh fill|trim: writes a file of 96 MiB to a file system, or removes it and trims.
set -e
case $1 in
  fill)
    mkfs.ext4 -q -F /dev/vda2
    mount /dev/vda2 /mnt
    dd if=/dev/urandom of=/mnt/large bs=1M count=96 conv=fsync status=none
    ;;
  trim)
    rm /mnt/large
    sync
    fstrim -v /mnt
    umount /mnt
    e2fsck -fn /dev/vda2
    ;;
esac
