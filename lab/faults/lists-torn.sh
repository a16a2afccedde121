# title: a package list of apt holds what is none, so that apt knows no packages
# proves: the one list that apt can't read is deleted and fetched again
# expects: clear_cache
package_archive
echo '<html><head><title>Please log in</title></head></html>' >/var/lib/apt/lists/127.0.0.1:8099_._Packages
# apt would go on with its own copy of it.
rm -f /var/cache/apt/*.bin
daemon package-report "Reports the packages that can be upgraded" <<'EOF'
#!/bin/sh
while sleep 2; do apt-cache policy lab-tool; done
EOF
systemctl start package-report.service
recorded 'Problem with MergeList|Unable to parse package file'
