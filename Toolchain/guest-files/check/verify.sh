# verify.sh NAME...: after a sudden end: mounting replays the journal; files that were synced are whole.
set -e
mount /dev/vda2 /mnt
for name in "$@"; do
  [ "$(sha256sum "/mnt/$name" | cut -c 1-64)" = "$name" ] || { echo "$name is damaged"; exit 1; }
done
echo "$# files are whole"
umount /mnt
e2fsck -fn /dev/vda2
