# scmi.sh COMMAND: what the checks of SCMI's consumers do in a guest.
debug=/sys/kernel/debug
mountpoint -q $debug || mount -t debugfs none $debug
switch=/sys/devices/platform/entropy-switch
case $1 in
  # Names of the clocks, and of drivers and devices.
  clocks) sed -n 's/^ *\([a-z-]*\) *[0-9].*/\1/p' $debug/clk/clk_summary ;;
  deferred) cat $debug/devices_deferred ;;
  # Lines of a clock and of a power domain.
  clock) grep "^ *$2 " $debug/clk/clk_summary ;;
  domain) grep "^$2 " $debug/pm_genpd/pm_genpd_summary ;;
  # The supply behind which the clock of the entropy source is: a file, or a light.
  switch)
    if [ -f $switch/state ]; then
      [ "$2" = on ] && word=enabled || word=disabled
      echo $word >$switch/state && [ "$(cat $switch/state)" = $word ]
    else
      [ "$2" = on ] && word=1 || word=0
      for file in $switch/leds/*/brightness; do echo $word >"$file"; done
    fi
    ;;
  # Whether random bytes come: more than a driver may have kept.
  entropy) timeout "${2:-20}" dd if=/dev/hwrng bs=512 count=1 iflag=fullblock of=/dev/null status=none ;;
  # Unbinds and binds a device: DRIVER DEVICE unbind|bind.
  driver) echo "$3" >"$2/$4" ;;
  seconds) cat /sys/class/rtc/rtc0/since_epoch ;;
  # How many milliseconds a loop takes.
  loop)
    begun=$(date +%s%N) count=0
    while [ $count -lt "$2" ]; do count=$((count + 1)); done
    echo $((($(date +%s%N) - begun) / 1000000))
    ;;
  # A sensor of the monitor, by its label.
  sensor)
    label=$(grep -l "^$2\$" /sys/class/hwmon/*/*_label)
    cat "${label%_label}_input"
    ;;
  *) exit 2 ;;
esac
