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
  # Sends a message, octal escapes, by Linux's raw mode, and prints the words of the answer.
  raw)
    exec 3<>$debug/scmi/0/raw/message
    printf "$2" >&3 && timeout 20 dd bs=256 count=1 status=none <&3 | od -An -v -tx4
    ;;
  # The words of the next notification.
  notification)
    timeout "$2" dd if=$debug/scmi/0/raw/notification bs=256 count=1 status=none | od -An -v -tx4
    ;;
  # Samples of the accelerometer: three axes and a time each.
  samples)
    cd /sys/bus/iio/devices/iio:device0
    for file in scan_elements/*_en; do echo 1 >"$file"; done
    echo 16 >buffer/length
    echo 1 >buffer/enable
    timeout 60 dd if=/dev/iio:device0 bs=32 count="$2" iflag=fullblock status=none | od -An -v -w32 -td8
    echo 0 >buffer/enable
    ;;
  *) exit 2 ;;
esac
