# entropy.sh BLOCKS: random bytes of the hardware generator through the tests of FIPS 140-2.
cat /sys/class/misc/hw_random/rng_current
case $(cat /sys/class/misc/hw_random/rng_current) in
  virtio_rng*) ;;
  *) echo "the generator is not virtio's"; exit 1 ;;
esac
# A good generator fails one block in 1250 or so.
dd if=/dev/hwrng bs=2500 count="$(($1 + 1))" iflag=fullblock status=none | rngtest -c "$1" 2>/run/rngtest
cat /run/rngtest
failures=$(sed -n 's/.*FIPS 140-2 failures: //p' /run/rngtest)
successes=$(sed -n 's/.*FIPS 140-2 successes: //p' /run/rngtest)
[ "$((failures + successes))" = "$1" ] && [ "$failures" -le 4 ]
