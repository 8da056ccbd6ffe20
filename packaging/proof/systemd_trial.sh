#!/bin/bash
# The unit under a systemd of its own: READY, restart of a hung loop, clean stop within 2 s.
# Run as root: packaging/proof/systemd_trial.sh PROGRAM  (an installed edgeface; default: on PATH).
# The systemd runs in namespaces on an overlay of this root, so nothing of this machine changes.
set -euo pipefail

program=$(realpath -s "${1:-$(command -v edgeface)}")
source=${EDGEFACE_TRIAL_VIDEO:?name a video of a face in EDGEFACE_TRIAL_VIDEO}

if [ -z "${EDGEFACE_TRIAL_INSIDE:-}" ]; then
  hierarchy=/sys/fs/cgroup
  [ -d $hierarchy/unified ] && hierarchy=$hierarchy/unified
  group=$hierarchy/edgeface-trial-$$
  told=$(mktemp)
  mkdir "$group"
  trap 'rmdir "$group"/*/* "$group"/* "$group" 2>/dev/null || true' EXIT
  (
    echo "$BASHPID" > "$group/cgroup.procs"
    EDGEFACE_TRIAL_INSIDE=1 exec unshare --pid --fork --mount --uts --ipc --cgroup --net \
      --kill-child "$0" "$program"
  ) | tee "$told" || true  # powering off looks like being killed
  grep -q "^TRIAL PASSED" "$told"
  exit
fi

# ---- inside: an overlay of the root, with little of what a machine needs ----
mount --make-rprivate /
box=$(mktemp -d)
mount -t tmpfs tmpfs "$box"
mkdir "$box"/{upper,work,root}
root=$box/root
mount -t overlay overlay -o "lowerdir=/,upperdir=$box/upper,workdir=$box/work" "$root"
mount -t proc proc "$root/proc"
mount -t sysfs sysfs "$root/sys"
mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
for folder in run dev; do mount -t tmpfs tmpfs "$root/$folder"; done
for device in null zero full random urandom tty; do
  touch "$root/dev/$device"
  mount --bind "/dev/$device" "$root/dev/$device"
done
mkdir "$root/dev/shm"
mount -t tmpfs tmpfs "$root/dev/shm"
ln -s /proc/self/fd "$root/dev/fd"
units=$root/etc/systemd/system
rm -f "$units"/multi-user.target.wants/*
for unit in systemd-udevd.service systemd-udevd-kernel.socket systemd-udevd-control.socket \
  systemd-udev-trigger.service systemd-timesyncd.service systemd-resolved.service \
  systemd-networkd.service getty.target dbus.service dbus.socket systemd-logind.service \
  proc-sys-fs-binfmt_misc.automount systemd-journal-flush.service; do
  ln -sf /dev/null "$units/$unit"
done
cp "$source" "$root/etc/edgeface-trial.${source##*.}"

cat > "$root/etc/edgeface-trial" <<'TRIAL'
#!/bin/bash
# Runs as a service of the inner systemd; its last line says how it went.
set -euo pipefail
program=$1 video=$2
end() { sleep 3; systemctl --no-block poweroff; }
failed() { journalctl --no-pager -u edgeface -u edgeface-gate -n 40; echo "TRIAL FAILED in line $1"; end; }
trap 'failed $LINENO' ERR
show() { systemctl show --property="$1" --value edgeface; }
settings=/etc/edgeface/edgeface.toml
"$program" service install --no-start
printf '[source]\nspec = "%s"\npace = "own"\nloop = true\n[control]\n' "$video" > $settings
mkdir -p /etc/systemd/system/edgeface.service.d
printf '[Service]\nWatchdogSec=3\n' > /etc/systemd/system/edgeface.service.d/trial.conf
mkdir -p /etc/systemd/system/edgeface-gate.service.d  # in a container no device node can be made
printf '[Service]\nPrivateDevices=no\n' > /etc/systemd/system/edgeface-gate.service.d/trial.conf
systemctl daemon-reload
systemctl start edgeface                     # returns after READY
echo "ready: $(show StatusText)"
sleep 4
[ "$(show NRestarts)" = 0 ]                  # the loop feeds the watchdog
"$program" status
useradd --no-create-home --groups edgeface-admin trialadmin  # whom the gate must name
useradd --no-create-home --groups edgeface trialasker
sleep 2
ask() {
  "$(dirname "$program")/python" - "$1" "$2" "$3" <<'ASK'
import os, pwd, socket, sys
user = pwd.getpwnam(sys.argv[1])
os.initgroups(user.pw_name, user.pw_gid)
os.setresgid(*3 * [user.pw_gid])
os.setresuid(*3 * [user.pw_uid])
with socket.socket(socket.AF_UNIX) as connection:
    connection.connect(sys.argv[2])
    connection.sendall(sys.argv[3].encode() + b"\n")
    print(connection.makefile().read())
ASK
}
ask trialadmin /run/edgeface-admin/control.sock '{"command": "remove", "name": "joe"}' | grep "joe"
ask trialasker /run/edgeface/control.sock '{"command": "list"}' | grep "is for administrators"
! ask trialasker /run/edgeface-admin/control.sock '{"command": "list"}'
"$program" list --service
"$program" audit | tee /dev/stderr | grep "trialadmin.*remove joe: failed"
echo "administered by whom the audit log names"
first=$(show MainPID)
mkfifo /var/lib/edgeface/pipe.avi            # opening it waits for ever: a loop that hangs
chown edgeface /var/lib/edgeface/pipe.avi
cp $settings /etc/good.toml
printf '[source]\nspec = "/var/lib/edgeface/pipe.avi"\n[control]\n' > $settings
systemctl kill --signal=HUP --kill-whom=main edgeface
sleep 1
cp /etc/good.toml $settings
for _ in $(seq 20); do
  [ "$(show NRestarts)" = 1 ] && [ "$(show ActiveState)" = active ] && break
  sleep 1
done
[ "$(show NRestarts)" = 1 ] && [ "$(show MainPID)" != "$first" ]
journalctl -u edgeface -o cat --no-pager | grep "Watchdog timeout"
sleep 2
began=$(date +%s%N)
systemctl stop edgeface
took=$(( ($(date +%s%N) - began) / 1000000 ))
echo "stopped in $took ms, result $(show Result)"
[ "$took" -lt 2000 ] && [ "$(show Result)" = success ]
echo "TRIAL PASSED"
end
TRIAL
chmod +x "$root/etc/edgeface-trial"
cat > "$units/trial.service" <<UNIT
[Service]
Type=oneshot
ExecStart=/etc/edgeface-trial $program /etc/edgeface-trial.${source##*.}
StandardOutput=file:/run/trial.out
StandardError=inherit
UNIT
mkdir -p "$units/multi-user.target.wants"
ln -s ../trial.service "$units/multi-user.target.wants/trial.service"
mkdir "$root/oldroot"
# PID 1 must be systemd itself, so a child reads the outcome.
( for _ in $(seq 120); do
    sleep 1
    grep -q "^TRIAL" /run/trial.out 2>/dev/null && break  # the root is another one by then
  done
  cat /run/trial.out ) &
cd "$root"
pivot_root . oldroot
mount --make-rshared /  # in a container systemd leaves it; without it no credential gets mounted
export container=edgeface-trial
exec /lib/systemd/systemd --system --unit=multi-user.target --show-status=false --log-target=journal
