# title: a live log fills its file system
# proves: a log that is written to is never deleted; the action is refused and a person is told
# expects: refused
systemctl stop orders.service 2>/dev/null || true
small_filesystem /var/log/orders
head -c 32M /dev/urandom >/var/log/orders/orders.log 2>/dev/null || true
log_writer orders
systemctl start orders.service
recorded 'cannot write /var/log/orders/orders.log: .*No space left on device'
