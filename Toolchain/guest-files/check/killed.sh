# killed.sh MEBIBYTES: fio writes and verifies the bare partition, with many requests under way at any time,
# while somebody ends what serves it. Whatever was acknowledged has to be there.
set -e
device=/dev/vda2
round() { # SEED MEBIBYTES PATTERN
  fio --name=killed --filename="$device" --size="$2m" --rw="$3" --bsrange=4k-64k --blockalign=4k \
    --iodepth=32 --ioengine=libaio --direct=1 --randseed="$1" --verify=crc32c --verify_backlog=256 \
    --verify_backlog_batch=64 --verify_fatal=1 --do_verify=1
}
round 1 "$1" randwrite
round 2 "$1" write
round 3 "$1" randrw
