# title: a site's configuration was written, and nginx was not told
# proves: nginx tests the configuration and reads it, in its same process
# expects: reload_config
rm -f /etc/nginx/conf.d/shop-*.conf
systemctl reset-failed nginx.service
systemctl start nginx.service
systemctl reload nginx.service
program /usr/local/bin/shop-front-check <<'EOF'
#!/usr/bin/python3
import sys, time, urllib.request

while True:
    try:
        urllib.request.urlopen("http://127.0.0.1:8088/", timeout=5).read()
    except OSError:
        print("ERROR: nginx.service: its configuration /etc/nginx/conf.d/shop-front.conf has changed and is not loaded",
              file=sys.stderr, flush=True)
    time.sleep(3)
EOF
unit shop-front-check.service <<'EOF'
[Unit]
Description=Looks at the shop's front page
[Service]
ExecStart=/usr/local/bin/shop-front-check
EOF
sleep 1
printf 'server { listen 127.0.0.1:8088; return 200 "open\\n"; }\n' >/etc/nginx/conf.d/shop-front.conf
systemctl start shop-front-check.service
recorded 'shop-front.conf has changed and is not loaded'
