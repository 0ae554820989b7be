# writer.sh: writes files whose names are the hashes of their content, and says so when each is on the disk.
# Does not end by itself.
set -e
mkfs.ext4 -q -F /dev/vda2
mount /dev/vda2 /mnt
# More that is never synchronised, so that there are writes at any time.
while :; do dd if=/dev/zero of=/mnt/noise bs=64k count=256 status=none; done &
number=0
while :; do
  number=$((number + 1))
  dd if=/dev/urandom of=/run/piece bs=1k count=$((number * 37 % 400 + 1)) status=none
  name=$(sha256sum /run/piece | cut -c 1-64)
  dd if=/run/piece of="/mnt/$name" bs=64k conv=fsync status=none
  sync /mnt
  echo "synced $name"
done
