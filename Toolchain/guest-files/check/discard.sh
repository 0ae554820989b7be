# discard.sh: what is discarded or zeroed reads as zeros, and what lies around it stays; the host looks at its
# side. From 64 MiB on: 8 MiB of data, 8 discarded, 4 zeroed, 4 of data.
set -e
device=/dev/vda2
hash() { dd if="$device" bs=1M skip="$1" count="$2" iflag=direct status=none | sha256sum | cut -c 1-64; }
dd if=/dev/urandom of="$device" bs=1M seek=64 count=24 oflag=direct conv=fsync status=none
before=$(hash 64 8) after=$(hash 84 4)
blkdiscard -f -o $((72 << 20)) -l $((8 << 20)) "$device"
blkdiscard -f -z -o $((80 << 20)) -l $((4 << 20)) "$device"
sync
[ "$(hash 64 8)" = "$before" ] || { echo "data before the discarded range changed"; exit 1; }
[ "$(hash 84 4)" = "$after" ] || { echo "data behind the zeroed range changed"; exit 1; }
[ "$(hash 80 4)" = "$(head -c $((4 << 20)) /dev/zero | sha256sum | cut -c 1-64)" ] ||
  { echo "what was zeroed does not read as zeros"; exit 1; }
echo "before=$before after=$after"
