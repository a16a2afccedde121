# title: a site's configuration was written with a mistake, and nginx was not told
# proves: nginx's own test complains, so that nothing is reloaded and a person is told what it says
# expects: refused
unread_site shop-back 8089 'retrun 200;'
recorded 'shop-back.conf has changed and is not loaded'
