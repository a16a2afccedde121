# title: a service dies of its full file system
# proves: old logs are deleted first, then the service that died is started, as the next step of the same healing
# expects: free_disk_space
systemctl stop basket.service 2>/dev/null || true
small_filesystem /var/log/basket
filled_with_old_logs basket
daemon basket "The basket application" <<'EOF'
#!/usr/bin/python3
import sys, time

with open("/var/log/basket/basket.log", "ab", buffering=0) as log:
    while True:
        try:
            log.write(b"%d basket stored\n" % time.time())
        except OSError as error:
            sys.exit(f"FATAL: cannot write /var/log/basket/basket.log: {error}")
        time.sleep(2)
EOF
systemctl start basket.service
recorded 'cannot write /var/log/basket/basket.log: .*No space left on device'
recorded "basket.service: Failed with result 'exit-code'"
