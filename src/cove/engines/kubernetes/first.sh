# The first process of the algorithm's container: a static busybox reads this, whatever image it is in.
# Arguments: most processes, largest file in blocks of 512 bytes; then the environment comes from a file.
c=/.cove p=/.cove/pipes b=/.cove/busybox
umask 0022
until [ -p "$p/asks" ]; do
  [ -e "$p/refused" ] && exit 125
  "$b" sleep 0.02
done
# This shell says how its child ended, where nobody reads it.
exec </dev/null >"$p/log" 2>/dev/null
echo start >"$p/news"
read -r word <"$p/asks"
[ "$word" = go ] || exit 143

# What the keeper asks for. It runs in the background, where nothing but SIGKILL ends it.
(
  trap '' HUP INT QUIT TERM PIPE USR1 USR2 ALRM
  main='' asked=''
  while read -r word value; do
    case $word in
      pid) main=$value; [ -z "$asked" ] || kill -TERM "$main" ;;
      term) asked=1; [ -z "$main" ] || kill -TERM "$main" ;;
      kill) kill -KILL -1 ;;
    esac
  done
) <"$p/asks" &

# In the foreground, so that it begins with every signal at its default.
"$b" sh -c '
exec 2>&1
echo "pid $$" >/.cove/pipes/asks
for name in $(/.cove/busybox env | /.cove/busybox sed -n "s/^\(KUBERNETES_[A-Z0-9_]*\)=.*/\1/p"); do unset "$name"; done
unset HOSTNAME OLDPWD SHLVL name
processes=$1 blocks=$2
. /.cove/environment
if [ "$PWD" = / ]; then
  /.cove/busybox mkdir -p /home/job/work && /.cove/busybox ln -sfn /data /home/job/work/data && cd /home/job/work
fi
if [ -e /bin/sh ] || [ -L /bin/sh ]; then . /.cove/command; else . /.cove/words; fi
program=$1
case $program in
*/*) ;;
*)
  IFS=:
  for folder in $PATH; do
    if [ -f "$folder/$1" ] && [ -x "$folder/$1" ]; then program=$folder/$1; break; fi
  done
  unset IFS folder
  if [ "$program" = "$1" ]; then echo "$1: not found"; exit 127; fi
  ;;
esac
shift
ulimit -c 0; ulimit -l 64; ulimit -n 4096; ulimit -f "$blocks"; ulimit -u "$processes" 2>/dev/null || ulimit -p "$processes"
set -- "$program" "$@"
unset program processes blocks OLDPWD
exec "$@"
' sh "$1" "$2"
code=$?
echo "end $code" >"$p/news"
exit "$code"
