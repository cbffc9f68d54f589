#!/bin/sh
# A systemd of its own that runs the unit, in namespaces of its own, until SIGTERM: `booted.sh DIRECTORY BINARY DEPLOY`. The
# directory holds the configuration `credence.toml`, and the units.
set -e
directory=$1 binary=$2 deploy=$3

# Starts it in a control group of its own, so that nothing is moved or made beside that, and tidies up.
outside() {
    groups=$directory/groups
    mkdir "$groups"
    mount -t cgroup2 none "$groups"
    above=$groups$(sed -n 's/^0:://p' /proc/self/cgroup)
    group=$above/credence-booted-$$
    mkdir "$group"
    echo $$ > "$group/cgroup.procs"
    unshare --mount --pid --cgroup --fork --kill-child "$0" "$directory" "$binary" "$deploy" inside &
    child=$!
    trap 'kill -KILL $child' TERM
    wait $child || true
    wait $child || true
    echo $$ > "$above/cgroup.procs"
    # Processes may take a moment to be gone.
    for _ in $(seq 50); do
        find "$group" -depth -type d -exec rmdir {} \; 2> /dev/null || true
        [ -e "$group" ] || break
        sleep 0.1
    done
    umount "$groups"
    rmdir "$groups"
}

if [ "$4" != inside ]; then
    outside
    exit
fi

mount --make-rprivate /
mount -t proc proc /proc
mount -t cgroup2 none /sys/fs/cgroup
mount -t bpf -o mode=0700 bpf /sys/fs/bpf
# What the host has in these places is none of this systemd's business.
mkdir "$directory/etc"
for file in passwd group nsswitch.conf ld.so.cache ld.so.conf; do
    [ ! -e "/etc/$file" ] || cp "/etc/$file" "$directory/etc/"
done
mount --bind "$directory/etc" /etc
for place in /run /var/lib /var/log; do mount -t tmpfs none "$place"; done
mkdir -p /etc/credence /run/installed
cp "$directory/credence.toml" /etc/credence/
cp "$binary" /run/installed/credence
systemd-sysusers "$deploy/systemd/credence.sysusers.conf"
systemd-tmpfiles --create "$deploy/systemd/credence.tmpfiles.conf"
# Settings of the kernel are everybody's.
mount --bind /proc/sys /proc/sys
mount -o remount,ro,bind /proc/sys
export container=other SYSTEMD_UNIT_PATH="$directory/units"
exec /lib/systemd/systemd --system --unit=probe.service --log-target=console --show-status=no
