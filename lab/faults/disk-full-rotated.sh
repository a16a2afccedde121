# title: old rotated logs fill a service's file system
# proves: logs older than 7 days are deleted, the live log stays, and the service writes again
# expects: free_disk_space
systemctl stop shop.service 2>/dev/null || true
small_filesystem /var/log/shop
filled_with_old_logs shop
log_writer shop
systemctl start shop.service
recorded 'cannot write /var/log/shop/shop.log: .*No space left on device'
