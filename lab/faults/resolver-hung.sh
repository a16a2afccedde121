# title: the resolver of names hangs
# proves: a resolver that runs and does not answer is restarted, and programs resolve names again
# expects: restart_network
name_server
systemctl kill --kill-who=main --signal=STOP systemd-resolved.service
name_user
recorded 'Temporary failure in name resolution'
