# traffic.sh URL SHA256: fetches and writes for ever, checks each time, and counts in /run/traffic.
echo 0 >/run/traffic
rm -f /run/traffic.bad
count=0
while :; do
  wget -q -O /tmp/traffic "$1" && [ "$(sha256sum /tmp/traffic | cut -c 1-64)" = "$2" ] ||
    { echo "fetched wrongly after $count" >>/run/traffic.bad; sleep 1; }
  dd if=/tmp/traffic of=/root/traffic bs=64k oflag=direct conv=fsync status=none &&
    [ "$(dd if=/root/traffic bs=64k iflag=direct status=none | sha256sum | cut -c 1-64)" = "$2" ] ||
    { echo "stored wrongly after $count" >>/run/traffic.bad; sleep 1; }
  count=$((count + 1))
  echo "$count" >/run/traffic.new
  mv /run/traffic.new /run/traffic
done
