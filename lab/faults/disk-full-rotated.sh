# title: old rotated logs fill a service's file system
# proves: logs older than 7 days are deleted, the live log stays, and the service writes again
# expects: free_disk_space
systemctl stop shop.service 2>/dev/null || true
small_filesystem /var/log/shop
# The live log exists but has not a single block, so the very first write fails.
: >/var/log/shop/shop.log
number=0
while number=$((number + 1)); head -c 2M /dev/urandom >"/var/log/shop/shop.log.$number" 2>/dev/null; do
  [ "$number" -lt 50 ]
done
find /var/log/shop -name 'shop.log.*' -empty -delete
for file in /var/log/shop/shop.log.*; do
  case $file in *[02468]) mv "$file" "$file.gz"; file=$file.gz ;; esac
  touch --date='10 days ago' "$file"
done
log_writer shop
systemctl start shop.service
recorded 'cannot write /var/log/shop/shop.log: .*No space left on device'
