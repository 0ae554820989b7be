# offloads.sh URL SHA256: every offload that can be changed is, and data still comes through whole.
url=$1 hash=$2 wrong=0 count=0
transfer() {
  [ "$(wget -q -O - "$url" | sha256sum | cut -c 1-64)" = "$hash" ] || { echo "damaged with $1"; wrong=1; }
}
set_feature() { # NAME on|off
  ethtool -K eth0 "$1" "$2" 2>&1
  ethtool -k eth0 | grep -q "^[[:space:]]*$1: $2" || { echo "$1 does not turn $2"; wrong=1; }
}
changeable() {
  ethtool -k eth0 | grep -v fixed | sed -n 's/^[[:space:]]*\([a-z0-9-]*\): \(on\|off\).*/\1:\2/p'
}
for feature in $(changeable); do
  name=${feature%:*} is=${feature#*:}
  # These names stand for several others, which come by themselves.
  case $name in tx-checksumming | scatter-gather | tcp-segmentation-offload) continue ;; esac
  case $is in on) other=off ;; off) other=on ;; esac
  count=$((count + 1))
  set_feature "$name" "$other"
  transfer "$name $other"
  set_feature "$name" "$is"
  transfer "$name $is"
done
echo "$count offloads were toggled"
[ "$wrong" = 0 ] && [ "$count" -gt 0 ]
