"""Pure: what busybox does in the two containers of a run (``containers.py``)."""

from __future__ import annotations

from typing import Final

_HAND: Final = """
: 1<>/c/own/log
tries=0
until [ -e /c/log/done ] || [ $tries -gt 10000 ]; do $b usleep 1000; tries=$((tries + 1)); done
$b chmod -R u+rwX /w/out 2>/dev/null
$b tar -c -C / c/log w/out
echo "$1"
"""

KEEPING: Final = f"""
umask 022
b=/bin/busybox
$b mkdir -p /w/out/outputs /w/out/logs /w/home /w/work /w/tmp /w/shm /w/vartmp /w/run /c/own /c/log
$b chmod 700 /w/home; $b chmod 1777 /w/tmp /w/shm /w/vartmp
[ "$2" ] || $b ln -s /data /w/work/data
$b cp $b /c/own/busybox
$b mkfifo -m 600 /c/own/log
(
exec 3</c/own/log
(ulimit -f "$1"; exec $b cat <&3 >/c/log/text) 2>/dev/null
$b cat <&3 >/dev/null
exec 3<&-
: >/c/log/done
) &
hand() {{{_HAND}}}
while read -r word what; do
case "$word" in
give) $b head -c "$what" | $b tar -x -C /c -f - && echo given || break ;;
hand) hand "$what" ;;
esac
done
while :; do $b sleep 2147483647; done
"""
"""What the keeper does: it makes the folders, copies the log up to its limit, drops the rest, and stays.

Meanwhile it does what it is told by its input (``handover.py``): it unpacks the archive that Cove gives to the run, and
hands over as ``HANDING`` does. When its input ends, or an archive is none, it listens no more.

Nobody may ever write to the log: handing over opens it once more, so that the copying ends.
"""

HANDING: Final = f"""
b=/bin/busybox
{_HAND}"""
"""What is run in the keeper when the run has ended: the rest of the log, and an archive of all that is to be had.

The word behind it, which is the one argument, says that nothing was cut off: such a stream just ends, also when the
daemon does. It is one that nobody could know while there was a run, since whoever reads stops there.

It runs in the keeper, not through the daemon's own archives: a daemon that was killed and came back may have lost sight
of the file system that the keeper still has (Docker before version 25).
"""

TELLING: Final = 'exec /bin/busybox tail -c "+$1" /c/log/text'
"""What is run in the keeper while the run goes on: the log from a byte on, the first being 1."""

SHELL: Final = ("/bin/busybox", "sh", "-c")

STARTING: Final = """
exec </dev/null >/.cove/log 2>&1
unset $1
if [ "$2" ] && { [ -e /bin/sh ] || [ -L /bin/sh ]; }; then exec /bin/sh -c "$2"; fi
shift 2
case "$1" in
*/*) exec "$@" ;;
esac
IFS=:
for COVE_PLACE in $PATH; do
if [ -f "$COVE_PLACE/$1" ] && [ -x "$COVE_PLACE/$1" ]; then
    set -- "$COVE_PLACE/$@"
    unset COVE_PLACE
    exec "$@"
fi
done
echo "$1: not found"
exit 127
"""
"""How the run becomes the algorithm: both outputs into one pipe, by a shell only where one is needed and there.

Programs are looked for here, since some builds of busybox take their own ``ls`` before the image's.
"""
