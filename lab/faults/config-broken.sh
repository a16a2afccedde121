# title: a site's configuration was written with a mistake, and nginx was not told
# proves: nginx's own test complains, so that nothing is reloaded and a person is told what it says
# expects: refused
systemctl reset-failed nginx.service
rm -f /etc/nginx/conf.d/shop-*.conf
systemctl start nginx.service
systemctl reload nginx.service
program /usr/local/bin/shop-back-check <<'EOF'
#!/usr/bin/python3
import sys, time

while True:
    print("ERROR: nginx.service: its configuration /etc/nginx/conf.d/shop-back.conf has changed and is not loaded",
          file=sys.stderr, flush=True)
    time.sleep(3)
EOF
unit shop-back-check.service <<'EOF'
[Unit]
Description=Looks at the shop's back office
[Service]
ExecStart=/usr/local/bin/shop-back-check
EOF
sleep 1
printf 'server { listen 127.0.0.1:8089; retrun 200; }\n' >/etc/nginx/conf.d/shop-back.conf
systemctl start shop-back-check.service
recorded 'shop-back.conf has changed and is not loaded'
