# title: nginx dies, and its configuration is broken by now
# proves: nginx's own test complains, so that it is not started on that, and a person is told what the test says
# expects: refused
rm -f /etc/nginx/conf.d/shop-*.conf
systemctl reset-failed nginx.service
systemctl start nginx.service
printf 'server { listen 127.0.0.1:8090; retrun 200; }\n' >/etc/nginx/conf.d/shop-broken.conf
systemctl kill --kill-who=main --signal=KILL nginx.service
recorded "nginx.service: Failed with result 'signal'"
