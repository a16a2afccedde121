# How a service is, and whether it stays so. Prints `Before=` (restarts by systemd at the first look) and the properties
# at the last look, a line each. Usage: watch.sh UNIT PROPERTIES
unit=$1
properties=$2

show() { systemctl show --property="$1" --value -- "$unit"; }

# A unit on its way (starting, stopping, reloading) gets ten seconds to arrive; one that waits for its next automatic
# restart has crashed.
tries=0
while [ "$tries" -lt 10 ]; do
  case "$(show ActiveState)/$(show SubState)" in
    activating/auto-restart*) break ;;
    activating/* | deactivating/* | reloading/*) sleep 1 ;;
    *) break ;;
  esac
  tries=$((tries + 1))
done

echo "Before=$(show NRestarts)"
# systemd's default pause before an automatic restart is 0.1 s: who crashes at its start shows within a second.
if [ "$(show ActiveState)" = active ]; then sleep 1; fi
systemctl show --all --property="$properties" -- "$unit"
