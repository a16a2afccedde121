# title: nginx is killed
# proves: a crashed service is started again; its death leaves only priorities 4 and 5 in the journal
# expects: restart_service
rm -f /etc/nginx/conf.d/shop-*.conf
systemctl reset-failed nginx.service
systemctl start nginx.service
systemctl kill --kill-who=main --signal=KILL nginx.service
recorded "nginx.service: Failed with result 'signal'"
