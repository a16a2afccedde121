# title: a site's configuration was written, and nginx was not told
# proves: nginx tests the configuration and reads it, in its same process
# expects: reload_config
unread_site shop-front 8088 'return 200 "open\n";'
recorded 'shop-front.conf has changed and is not loaded'
