# title: apt's update failed while the mirror was changing, and was not tried again
# proves: what the failed download left is deleted, and the lists are fetched
# expects: clear_cache
package_archive
# Later by the clock of files too.
sleep 1
sed -i 's/^Version: .*/Version: 1.1/' /srv/packages/Packages
echo another | package_release
daemon package-update "Fetches the package lists once a day" <<'EOF'
#!/bin/sh
while true; do apt-get --quiet update; sleep 1d; done
EOF
systemctl start package-update.service
recorded 'Failed to fetch http://127.0.0.1:8099/./Packages  Hash Sum mismatch'
# The mirror is sound again.
package_release </srv/packages/Packages
