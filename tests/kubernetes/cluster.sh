#!/usr/bin/env bash
# A real one-node Kubernetes for Cove's tests, from Debian packages alone.
#
#   cluster.sh up       build what is missing, start what is not running, print KUBECONFIG
#   cluster.sh status   what runs, and where its files are (exit 0 when all of it does)
#   cluster.sh down     end it and wipe its state; the built programs stay in the cache
#   cluster.sh build    build what is missing, start nothing
#   cluster.sh images   make the images alone, for another cluster (tests/support/adopted.py)
#
# The control plane and the kubelet are compiled from Debian 12's source package `kubernetes`
# (1.20.2); etcd, containerd, runc, the CNI plugins and the registry are Debian's binaries.
# Everything is fetched by apt-get. Needs root, cgroup v1 and Debian 12; no systemd, no
# CAP_SYS_RESOURCE. Servers listen on 127.0.0.1 only. One cluster per machine: the bridge, the
# cgroup and the kubelet's log folder have fixed names. Killing one part (its pid is in
# STATE/pid/NAME) and calling `up` again is how a test plays a lost and returning node.
#
# Settings: COVE_KUBE_CACHE (built programs and images), COVE_KUBE_STATE (one cluster's files),
# COVE_KUBE_PORT_BASE (every port is this plus a small number), COVE_KUBE_POD_NET (first three
# numbers of the pods' /24), COVE_KUBE_KEEP_BUILD=1 (keep the 2 GB of compiler cache).
set -euo pipefail
umask 022

CACHE=${COVE_KUBE_CACHE:-$HOME/.cache/cove-kube}
STATE=${COVE_KUBE_STATE:-$CACHE/state}
BASE=${COVE_KUBE_PORT_BASE:-16400}
POD_NET=${COVE_KUBE_POD_NET:-10.244.77}
API_PORT=$((BASE + 43)) ETCD_PORT=$((BASE + 79)) ETCD_PEER_PORT=$((BASE + 80))
KUBELET_PORT=$((BASE + 50)) KUBELET_HEALTH_PORT=$((BASE + 48)) REGISTRY_PORT=$((BASE + 5))
MANAGER_PORT=$((BASE + 57)) SCHEDULER_PORT=$((BASE + 59))

VERSION=1.20.2
GO=/usr/lib/go-1.19
PROGRAMS=(kube-apiserver kube-controller-manager kube-scheduler kubelet)
IMAGES=(pause busybox python)
ROLE=$(cd "$(dirname "$0")/../.." && pwd)/deploy/kubernetes/role.yaml
TAG=localhost/cove                # images: localhost/cove/{pause,busybox,python}:1
NODE=127.0.0.1                    # a node so named is one whose address is loopback
NAMESPACE=cove
BRIDGE=cove-kube0
CGROUP=cove-kube
SERVICES=(etcd apiserver manager scheduler containerd registry kubelet decoy)

say() { printf 'cluster: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

# ---------------------------------------------------------------- packages

declare -A DEBS=(
  [run]="etcd-server containerd runc containernetworking-plugins docker-registry openssl curl iproute2 mount"
  [images]="gcc libc6-dev busybox-static"
  [build]="golang-1.19-go"
)

APT_FRESH=
need_packages() {
  local missing=() p
  for p in "$@"; do
    dpkg-query -W -f '${Status}\n' "$p" 2>/dev/null | grep -q 'ok installed' || missing+=("$p")
  done
  [ ${#missing[@]} -eq 0 ] && return
  say "installing ${missing[*]}"
  refresh_apt
  # Debian's postinst scripts would start etcd and the registry as system services.
  local policy=/usr/sbin/policy-rc.d ours=
  if [ ! -e $policy ]; then
    printf '#!/bin/sh\nexit 101\n' >$policy && chmod +x $policy && ours=1
  fi
  local rc=0
  DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=600 install -y \
    --no-install-recommends "${missing[@]}" >"$CACHE/log/apt.log" 2>&1 || rc=$?
  [ -z "$ours" ] || rm -f $policy
  [ $rc -eq 0 ] || die "apt-get install failed, see $CACHE/log/apt.log"
}

refresh_apt() {
  [ -z "$APT_FRESH" ] || return 0
  apt-get -qq -o DPkg::Lock::Timeout=600 update >"$CACHE/log/apt-update.log" 2>&1 ||
    say "apt-get update failed, going on with the lists there are"
  APT_FRESH=1
}

need_programs() {
  # shellcheck disable=SC2086
  need_packages ${DEBS[run]}
  command -v kubectl >/dev/null || need_packages kubernetes-client
}

# ---------------------------------------------------------------- the four programs

built() { local p; for p in "${PROGRAMS[@]}"; do [ -x "$CACHE/bin/$p" ] || return 1; done; }

build_programs() {
  ! built || return 0
  # shellcheck disable=SC2086
  need_packages ${DEBS[build]}
  local work=$CACHE/build
  local tree=$work/gopath/src/k8s.io/kubernetes
  mkdir -p "$work/src" "$CACHE/bin"
  [ -f "$tree/.unpacked" ] || fetch_source "$work/src" "$tree"
  (
    cd "$tree"
    # The old tree predates modules by default: it is built as a GOPATH tree with its vendor folder.
    export GOROOT=$GO PATH=$GO/bin:$PATH GO111MODULE=off GOPROXY=off GOFLAGS='' GOTOOLCHAIN=local
    export GOPATH=$work/gopath GOCACHE=$work/gocache CGO_ENABLED=0 GOGC=200
    generate_openapi >"$CACHE/log/openapi.log" 2>&1 || die "openapi-gen failed, see $CACHE/log/openapi.log"
    local vendored=k8s.io/kubernetes/vendor/k8s.io flags='-s -w' pkg p targets=()
    for pkg in component-base/version client-go/pkg/version; do
      flags+=" -X $vendored/$pkg.gitVersion=v$VERSION -X $vendored/$pkg.gitMajor=1 -X $vendored/$pkg.gitMinor=20"
      flags+=" -X $vendored/$pkg.gitTreeState=archive -X $vendored/$pkg.gitCommit=debian"
    done
    for p in "${PROGRAMS[@]}"; do targets+=("k8s.io/kubernetes/cmd/$p"); done
    say "compiling ${PROGRAMS[*]} (some minutes of two processors)"
    mkdir -p "$work/bin"
    # Without what no run here touches: the clients of the clouds and of Docker are two thirds of the work.
    go build -tags providerless,dockerless -ldflags "$flags" -o "$work/bin/" "${targets[@]}" >"$CACHE/log/build.log" 2>&1 ||
      die "go build failed, see $CACHE/log/build.log"
  )
  local p
  for p in "${PROGRAMS[@]}"; do mv "$work/bin/$p" "$CACHE/bin/$p"; done
  [ -n "${COVE_KUBE_KEEP_BUILD:-}" ] || rm -rf "$work"
}

# apt-get source wants deb-src lines, which most machines lack: derive them from the deb lines
# they have, in files of our own, so that the machine's settings stay as they are.
fetch_source() { # download-folder tree
  local dl=$1 tree=$2 archive
  refresh_apt
  mkdir -p "$dl/lists/partial"
  apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' 'Origin: Debian' |
    sort -u | sed 's/^/deb-src /' >"$dl/sources.list"
  [ -s "$dl/sources.list" ] || die "no Debian package source is configured for apt-get"
  local opts=(-qq -o Dir::Etc::sourcelist="$dl/sources.list" -o Dir::Etc::sourceparts=-
    -o Dir::State::lists="$dl/lists" -o Dir::Cache::srcpkgcache= -o Dir::Cache::pkgcache= -o APT::Sandbox::User=root)
  say "fetching the source package"
  (
    cd "$dl"
    apt-get "${opts[@]}" update
    apt-get "${opts[@]}" source --download-only --only-source kubernetes
  ) >"$CACHE/log/source.log" 2>&1 || die "apt-get source failed, see $CACHE/log/source.log"
  archive=$(ls "$dl"/kubernetes_*"$VERSION".orig.tar.gz 2>/dev/null) || die "the source package is not $VERSION any more"
  # Debian's own patches touch only kubectl, which is not built here.
  mkdir -p "$tree"
  tar -xzf "$archive" -C "$tree" --strip-components=1
  # The vendored reflect2 1.0.1 calls into Go's runtime with a signature that Go 1.18 changed: every
  # map written as JSON then corrupts memory, and the API server dies now and then. Debian's 1.0.2
  # is the release that mends it.
  (
    cd "$dl"
    apt-get -qq -o APT::Sandbox::User=root download golang-github-modern-go-reflect2-dev
    dpkg-deb -x golang-github-modern-go-reflect2-dev_*.deb reflect2
    rm -rf "$tree/vendor/github.com/modern-go/reflect2"
    cp -RL reflect2/usr/share/gocode/src/github.com/modern-go/reflect2 "$tree/vendor/github.com/modern-go/"
  ) >>"$CACHE/log/source.log" 2>&1 || die "replacing reflect2 failed, see $CACHE/log/source.log"
  touch "$tree/.unpacked"
}

# The archive lacks one generated file, the OpenAPI definitions that the API server serves.
generate_openapi() {
  local out=pkg/generated/openapi/zz_generated.openapi.go dirs
  [ ! -s $out ] || return 0
  dirs=$(grep -rl --include=*.go '+k8s:openapi-gen=' staging/src/k8s.io pkg | xargs -n1 dirname | sort -u |
    grep -v -e /testdata -e /test/ -e sample- |
    sed -e 's,^staging/src/,k8s.io/kubernetes/vendor/,' -e 's,^pkg,k8s.io/kubernetes/pkg,' | paste -sd, -)
  go run ./vendor/k8s.io/kube-openapi/cmd/openapi-gen -O zz_generated.openapi \
    --go-header-file hack/boilerplate/boilerplate.generatego.txt --input-dirs "$dirs" \
    --output-package k8s.io/kubernetes/pkg/generated/openapi -r "$GOPATH/violations" --output-base "$GOPATH/src"
  [ -s $out ]
}

# ---------------------------------------------------------------- images made here

imaged() { local i; for i in "${IMAGES[@]}"; do [ -s "$CACHE/images/$i.tar" ] || return 1; done; }

make_images() {
  ! imaged || return 0
  # shellcheck disable=SC2086
  need_packages ${DEBS[images]}
  mkdir -p "$CACHE/images"
  local name
  for name in "${IMAGES[@]}"; do
    [ ! -s "$CACHE/images/$name.tar" ] || continue
    say "making image $TAG/$name:1"
    local root=$CACHE/images/$name.root
    rm -rf "$root" && mkdir -p "$root"
    "rootfs_$name" "$root"
    pack_image "$name" "$root"
    rm -rf "$root"
  done
}

rootfs_pause() { # the sandbox container: sleeps, and reaps what is orphaned to it
  cat >"$1/pause.c" <<'C'
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>
static void leave(int s) { (void)s; _exit(0); }
static void reap(int s) { (void)s; while (waitpid(-1, 0, WNOHANG) > 0) {} }
int main(void) {
  signal(SIGINT, leave); signal(SIGTERM, leave); signal(SIGCHLD, reap);
  for (;;) pause();
}
C
  gcc -O2 -static -o "$1/pause" "$1/pause.c" && rm "$1/pause.c"
}

rootfs_busybox() {
  mkdir -p "$1"/{bin,etc,tmp,root,proc,sys,dev,var,usr}
  chmod 1777 "$1/tmp"
  cp "$(dpkg -L busybox-static | grep -m1 'bin/busybox$')" "$1/bin/busybox"
  local applet
  for applet in $("$1/bin/busybox" --list); do
    [ "$applet" = busybox ] || ln -sf busybox "$1/bin/$applet"
  done
  printf 'root:x:0:0::/root:/bin/sh\nnobody:x:65534:65534::/tmp:/bin/sh\n' >"$1/etc/passwd"
  printf 'root:x:0:\nnogroup:x:65534:\n' >"$1/etc/group"
}

rootfs_python() { # Debian's python3 unpacked over busybox
  local debs=$CACHE/images/debs
  refresh_apt
  mkdir -p "$debs"
  (
    cd "$debs"
    apt-get -qq -o APT::Sandbox::User=root download libc6 libgcc-s1 libstdc++6 python3.11-minimal libpython3.11-minimal \
      libpython3.11-stdlib libexpat1 zlib1g libbz2-1.0 libcrypt1 libdb5.3 libffi8 liblzma5 libncursesw6 libreadline8 \
      libsqlite3-0 libtinfo6 libuuid1 libssl3 media-types base-files
  ) >"$CACHE/log/python-debs.log" 2>&1 || die "apt-get download failed, see $CACHE/log/python-debs.log"
  local deb
  for deb in "$debs"/*.deb; do dpkg-deb -x "$deb" "$1"; done
  rm -rf "$debs" "$1"/usr/share/{doc,man,locale,lintian}
  local merged # unpacked packages keep the old /bin and /usr/bin apart: fold them, as Debian does
  for merged in bin lib lib64; do
    if [ -d "$1/$merged" ] && [ ! -L "$1/$merged" ]; then
      mkdir -p "$1/usr/$merged" && cp -a "$1/$merged/." "$1/usr/$merged/" && rm -rf "${1:?}/$merged"
    fi
    mkdir -p "$1/usr/$merged" && ln -sfn "usr/$merged" "$1/$merged"
  done
  rootfs_busybox "$1"
  ln -sf python3.11 "$1/usr/bin/python3" && ln -sf python3.11 "$1/usr/bin/python"
}

pack_image() { # name root: one layer, in the form `docker save` writes
  local name=$1 root=$2 tmp=$CACHE/images/$1.pack digest
  rm -rf "$tmp" && mkdir -p "$tmp"
  tar --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner -C "$root" -cf "$tmp/layer.tar" .
  digest=$(sha256sum "$tmp/layer.tar" | cut -d' ' -f1)
  local command='["/bin/sh"]'
  [ "$name" != pause ] || command='["/pause"]'
  [ "$name" != python ] || command='["python3"]'
  printf '{"architecture":"%s","os":"linux","config":{"Env":["PATH=/usr/sbin:/usr/bin:/sbin:/bin"],"Cmd":%s},"rootfs":{"type":"layers","diff_ids":["sha256:%s"]},"history":[{"created_by":"cove-testcluster"}]}' \
    "$(dpkg --print-architecture)" "$command" "$digest" >"$tmp/config.json"
  printf '[{"Config":"config.json","RepoTags":["%s/%s:1"],"Layers":["layer.tar"]}]' "$TAG" "$name" >"$tmp/manifest.json"
  tar -C "$tmp" -cf "$CACHE/images/$name.tar.new" manifest.json config.json layer.tar
  mv "$CACHE/images/$name.tar.new" "$CACHE/images/$name.tar"
  rm -rf "$tmp"
}

# ---------------------------------------------------------------- keys, tokens, settings

issue() { # name subject extensions: a certificate signed by this cluster's own authority
  local name=$1 subject=$2 ext=$3
  openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout "$name.key" -subj "$subject" -out "$name.csr"
  openssl x509 -req -in "$name.csr" -CA ca.crt -CAkey ca.key -CAcreateserial -days 365 \
    -extfile <(printf '%s\n' "$ext") -out "$name.crt"
  rm "$name.csr"
}

make_keys() {
  local pki=$STATE/pki
  [ ! -f "$pki/done" ] || return 0
  mkdir -p "$pki" && chmod 700 "$pki"
  (
    cd "$pki"
    umask 077
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 365 -keyout ca.key -out ca.crt -subj /CN=cove-test-ca
    issue apiserver /CN=kube-apiserver \
      "subjectAltName=IP:127.0.0.1,DNS:localhost,DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,IP:10.96.0.1"
    issue kubelet "/CN=system:node:$NODE/O=system:nodes" "subjectAltName=IP:127.0.0.1,DNS:localhost"
    issue kubelet-client /O=system:masters/CN=kube-apiserver-kubelet-client extendedKeyUsage=clientAuth
    openssl genrsa -out sa.key 2048
    openssl rsa -in sa.key -pubout -out sa.pub
    local who
    for who in admin kubelet manager scheduler; do openssl rand -hex 24 >"$who.token"; done
    {
      printf '%s,admin,admin,system:masters\n' "$(<admin.token)"
      printf '%s,system:node:%s,node,system:nodes\n' "$(<kubelet.token)" "$NODE"
      printf '%s,system:kube-controller-manager,manager\n' "$(<manager.token)"
      printf '%s,system:kube-scheduler,scheduler\n' "$(<scheduler.token)"
    } >tokens.csv
    printf 'Authorization: Bearer %s\n' "$(<admin.token)" >admin.header
  ) >"$STATE/log/keys.log" 2>&1 || die "making keys failed, see $STATE/log/keys.log"
  local who
  for who in admin kubelet manager scheduler; do kubeconfig "$STATE/$who.kubeconfig" "$(<"$pki/$who.token")" default; done
  touch "$pki/done"
}

kubeconfig() { # file token namespace
  (
    umask 077
    cat >"$1" <<YAML
apiVersion: v1
kind: Config
clusters:
- name: cove-test
  cluster: {server: "https://127.0.0.1:$API_PORT", certificate-authority-data: $(base64 -w0 "$STATE/pki/ca.crt")}
users:
- name: me
  user: {token: "$2"}
contexts:
- name: cove-test
  context: {cluster: cove-test, user: me, namespace: $3}
current-context: cove-test
YAML
  )
}

make_settings() {
  mkdir -p "$STATE"/{cni,cni-none,cni-bin,containerd,containerd-run,kubelet,registry}
  echo nameserver 127.0.0.1 >"$STATE/resolv.conf" # pods must not see the machine's; an empty file would give them those

  # Pods share a bridge that has no address of the host's, no uplink and no routes: they reach
  # one another and nothing else.
  cat >"$STATE/cni/10-pods.conflist" <<JSON
{"cniVersion": "0.4.0", "name": "cove-pods", "plugins": [
  {"type": "bridge", "bridge": "$BRIDGE", "isGateway": false, "ipMasq": false,
   "ipam": {"type": "host-local", "dataDir": "$STATE/ipam", "ranges": [[{"subnet": "$POD_NET.0/24"}]]}}]}
JSON
  # The RuntimeClass no-network: containerd insists on an eth0 with an address, so these pods get
  # one that is wired to nothing.
  cat >"$STATE/cni-none/10-none.conflist" <<JSON
{"cniVersion": "0.4.0", "name": "cove-none", "plugins": [{"type": "unplugged"}]}
JSON
  cat >"$STATE/cni-bin/unplugged" <<'SH'
#!/bin/sh
set -e
cat >/dev/null
in_pod() { nsenter --net="$CNI_NETNS" "$@"; }
case $CNI_COMMAND in
ADD)
  in_pod ip link add "$CNI_IFNAME" type bridge >&2
  in_pod sh -c "echo 1 >/proc/sys/net/ipv6/conf/$CNI_IFNAME/disable_ipv6" || true
  in_pod ip addr add 169.254.77.1/32 dev "$CNI_IFNAME" >&2
  printf '{"cniVersion":"0.4.0","interfaces":[{"name":"%s","sandbox":"%s"}],"ips":[{"version":"4","interface":0,"address":"169.254.77.1/32"}]}\n' \
    "$CNI_IFNAME" "$CNI_NETNS"
  ;;
DEL) [ -z "$CNI_NETNS" ] || in_pod ip link del "$CNI_IFNAME" 2>/dev/null || true ;;
VERSION) echo '{"cniVersion":"0.4.0","supportedVersions":["0.3.1","0.4.0"]}' ;;
esac
SH
  chmod +x "$STATE/cni-bin/unplugged"
  ln -sf /usr/lib/cni/* "$STATE/cni-bin/"

  # restrict_oom_score_adj: without CAP_SYS_RESOURCE nothing may go below its parent's score, and
  # the kubelet asks for -998 on every sandbox. oom_score must stay 0 for the same reason.
  cat >"$STATE/containerd.toml" <<TOML
version = 2
root = "$STATE/containerd"
state = "$STATE/containerd-run"
oom_score = 0
disabled_plugins = ["io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.tracing.processor.v1.otlp", "io.containerd.internal.v1.tracing"]
[grpc]
address = "$STATE/containerd.sock"
[plugins."io.containerd.internal.v1.opt"]
path = "$STATE/containerd/opt"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "$TAG/pause:1"
restrict_oom_score_adj = true
disable_apparmor = true
netns_mounts_under_state_dir = true
stream_server_address = "127.0.0.1"
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "$STATE/cni-bin"
conf_dir = "$STATE/cni"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.no-network]
runtime_type = "io.containerd.runc.v2"
cni_conf_dir = "$STATE/cni-none"
TOML

  cat >"$STATE/kubelet.yaml" <<YAML
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: 127.0.0.1
port: $KUBELET_PORT
readOnlyPort: 0
healthzBindAddress: 127.0.0.1
healthzPort: $KUBELET_HEALTH_PORT
tlsCertFile: $STATE/pki/kubelet.crt
tlsPrivateKeyFile: $STATE/pki/kubelet.key
authentication:
  anonymous: {enabled: false}
  webhook: {enabled: true}
  x509: {clientCAFile: $STATE/pki/ca.crt}
authorization: {mode: Webhook}
cgroupDriver: cgroupfs
cgroupRoot: /$CGROUP
enforceNodeAllocatable: [pods]
failSwapOn: false
protectKernelDefaults: false
makeIPTablesUtilChains: false
oomScoreAdj: 0
maxOpenFiles: $(ulimit -Hn | sed 's/unlimited/1000000/')
podPidsLimit: 256
resolvConf: $STATE/resolv.conf
clusterDNS: [10.96.0.10] # nobody answers there
clusterDomain: cluster.local
volumeStatsAggPeriod: 5s
nodeStatusUpdateFrequency: 2s
nodeLeaseDurationSeconds: 8
syncFrequency: 5s # else a pod that is deleted as it starts may run on for a minute and a half
serializeImagePulls: false
imageGCHighThresholdPercent: 100
featureGates: {SizeMemoryBackedVolumes: true} # else sizeLimit of a Memory emptyDir means nothing
evictionHard: {memory.available: 100Mi, nodefs.available: 512Mi, imagefs.available: 512Mi}
YAML

  local password
  if [ ! -f "$STATE/registry.password" ]; then
    password=$(openssl rand -hex 12)
    (umask 077 && printf '%s\n' "$password" >"$STATE/registry.password")
    printf 'cove:%s\n' "$(perl -e 'print crypt($ARGV[0], q($2y$05$) . $ARGV[1])' "$password" "$(openssl rand -hex 11)")" \
      >"$STATE/registry.htpasswd"
  fi
  cat >"$STATE/registry.yaml" <<YAML
version: 0.1
log: {level: warn}
storage: {filesystem: {rootdirectory: $STATE/registry}, delete: {enabled: true}}
http: {addr: "127.0.0.1:$REGISTRY_PORT", secret: $(openssl rand -hex 8)}
auth: {htpasswd: {realm: cove-test, path: $STATE/registry.htpasswd}}
YAML
}

# ---------------------------------------------------------------- processes

# A process's start time tells a reused pid; one that ended but is not reaped yet has none.
birth() { sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | awk '$1 != "Z" {print $20}'; }

alive() { # name
  local pid at
  [ -f "$STATE/pid/$1" ] || return 1
  read -r pid at <"$STATE/pid/$1"
  [ -n "$at" ] && [ "$(birth "$pid")" = "$at" ]
}

any_alive() { local name; for name in "${SERVICES[@]}"; do ! alive "$name" || return 0; done; return 1; }

start() { # name port command...
  local name=$1 port=$2
  shift 2
  ! alive "$name" || return 0
  [ "$port" = - ] || ! port_open "$port" || die "port $port is taken, by another cluster perhaps: $name cannot start"
  setsid "$@" >>"$STATE/log/$name.log" 2>&1 </dev/null 9>&- &
  local pid=$!
  printf '%s %s\n' "$pid" "$(birth "$pid")" >"$STATE/pid/$name"
}

stop() { # name
  alive "$1" || { rm -f "$STATE/pid/$1"; return 0; }
  local pid _ i
  read -r pid _ <"$STATE/pid/$1"
  kill -TERM "$pid" 2>/dev/null || true
  for ((i = 0; i < 100; i++)); do alive "$1" || break; sleep 0.1; done
  ! alive "$1" || kill -KILL "$pid" 2>/dev/null || true
  rm -f "$STATE/pid/$1"
}

wait_for() { # seconds service command...
  local end=$((SECONDS + $1)) name=$2
  shift 2
  until "$@" >/dev/null 2>&1; do
    alive "$name" || { tail -n 5 "$STATE/log/$name.log" >&2; die "$name ended, see $STATE/log/$name.log"; }
    [ $SECONDS -lt $end ] || die "$name did not get ready, see $STATE/log/$name.log"
    sleep 0.2
  done
}

admin() { kubectl --kubeconfig "$STATE/admin.kubeconfig" "$@"; }
runtime() { ctr --address "$STATE/containerd.sock" --namespace k8s.io "$@"; }
port_open() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }
node_ready() { [ "$(admin get node $NODE -o 'jsonpath={.status.conditions[?(@.type=="Ready")].status}')" = True ]; }

start_control_plane() {
  local pki=$STATE/pki
  start etcd "$ETCD_PORT" etcd --name default --data-dir "$STATE/etcd" --listen-client-urls "http://127.0.0.1:$ETCD_PORT" \
    --advertise-client-urls "http://127.0.0.1:$ETCD_PORT" --listen-peer-urls "http://127.0.0.1:$ETCD_PEER_PORT" \
    --initial-advertise-peer-urls "http://127.0.0.1:$ETCD_PEER_PORT" \
    --initial-cluster "default=http://127.0.0.1:$ETCD_PEER_PORT"
  wait_for 30 etcd curl -fsS --noproxy '*' "http://127.0.0.1:$ETCD_PORT/health"
  start apiserver "$API_PORT" "$CACHE/bin/kube-apiserver" --etcd-servers "http://127.0.0.1:$ETCD_PORT" \
    --bind-address 127.0.0.1 --advertise-address 127.0.0.1 --secure-port "$API_PORT" --insecure-port 0 \
    --tls-cert-file "$pki/apiserver.crt" --tls-private-key-file "$pki/apiserver.key" --client-ca-file "$pki/ca.crt" \
    --token-auth-file "$pki/tokens.csv" --authorization-mode Node,RBAC --enable-admission-plugins NodeRestriction \
    --kubelet-client-certificate "$pki/kubelet-client.crt" --kubelet-client-key "$pki/kubelet-client.key" \
    --kubelet-certificate-authority "$pki/ca.crt" --kubelet-preferred-address-types InternalIP,Hostname \
    --service-account-issuer https://kubernetes.default.svc --service-account-key-file "$pki/sa.pub" \
    --service-account-signing-key-file "$pki/sa.key" --service-cluster-ip-range 10.96.0.0/24 \
    --endpoint-reconciler-type none --allow-privileged=true --profiling=false --feature-gates TTLAfterFinished=true \
    --default-not-ready-toleration-seconds 10 --default-unreachable-toleration-seconds 10
  wait_for 90 apiserver admin get --raw /readyz
  # A node counts as lost 12 s after its last word and its pods are evicted 10 s later.
  start manager "$MANAGER_PORT" "$CACHE/bin/kube-controller-manager" --kubeconfig "$STATE/manager.kubeconfig" \
    --authentication-kubeconfig "$STATE/manager.kubeconfig" --authorization-kubeconfig "$STATE/manager.kubeconfig" \
    --bind-address 127.0.0.1 --port 0 --secure-port "$MANAGER_PORT" --cert-dir "$STATE/manager" --leader-elect=false \
    --use-service-account-credentials=true --service-account-private-key-file "$pki/sa.key" --root-ca-file "$pki/ca.crt" \
    --feature-gates TTLAfterFinished=true --node-monitor-period 1s --node-monitor-grace-period 12s \
    --kube-api-qps 200 --kube-api-burst 400 --flex-volume-plugin-dir "$STATE/manager/plugins"
  start scheduler "$SCHEDULER_PORT" "$CACHE/bin/kube-scheduler" --kubeconfig "$STATE/scheduler.kubeconfig" \
    --authentication-kubeconfig "$STATE/scheduler.kubeconfig" --authorization-kubeconfig "$STATE/scheduler.kubeconfig" \
    --bind-address 127.0.0.1 --port 0 --secure-port "$SCHEDULER_PORT" --cert-dir "$STATE/scheduler" --leader-elect=false
}

start_node() {
  ip link show "$BRIDGE" >/dev/null 2>&1 || ip link add "$BRIDGE" type bridge
  echo 1 >"/proc/sys/net/ipv6/conf/$BRIDGE/disable_ipv6" 2>/dev/null || true
  ip link set "$BRIDGE" up
  local top
  for top in /sys/fs/cgroup/*/; do
    [ -e "$top/tasks" ] || continue # v1 hierarchies only
    mkdir -p "$top$CGROUP"
    if [ -e "$top/cpuset.cpus" ]; then
      cat "$top/cpuset.cpus" >"$top$CGROUP/cpuset.cpus"
      cat "$top/cpuset.mems" >"$top$CGROUP/cpuset.mems"
    fi
  done
  # The kubelet's log folder has a fixed place: `down` removes it only if it was made here.
  [ -e /var/log/pods ] || { mkdir /var/log/pods && touch "$STATE/owns-logs"; }
  start containerd - containerd --config "$STATE/containerd.toml"
  wait_for 30 containerd runtime version
  local image
  for image in "${IMAGES[@]}"; do
    runtime images ls -q | grep -qx "$TAG/$image:1" ||
      runtime images import "$CACHE/images/$image.tar" >>"$STATE/log/images.log" 2>&1 || die "importing image $image failed"
  done
  start registry "$REGISTRY_PORT" docker-registry serve "$STATE/registry.yaml"
  start kubelet "$KUBELET_PORT" "$CACHE/bin/kubelet" --config "$STATE/kubelet.yaml" --kubeconfig "$STATE/kubelet.kubeconfig" \
    --hostname-override $NODE --root-dir "$STATE/kubelet" --cert-dir "$STATE/kubelet/pki" \
    --volume-plugin-dir "$STATE/kubelet/plugins-exec" --seccomp-profile-root "$STATE/kubelet/seccomp" \
    --container-runtime remote \
    --container-runtime-endpoint "unix://$STATE/containerd.sock"
  wait_for 30 registry port_open "$REGISTRY_PORT"
  wait_for 60 kubelet node_ready
}

# When every node is lost Kubernetes suspects itself and evicts nothing. A second Node object that
# takes no pods, with a loop that vouches for it, makes the loss of the real one count.
start_decoy() {
  ! alive decoy || return 0
  admin apply -f - >/dev/null <<'YAML'
apiVersion: v1
kind: Node
metadata: {name: decoy}
spec: {unschedulable: true}
YAML
  export STATE
  export URL=https://127.0.0.1:$API_PORT/api/v1/nodes/decoy/status
  start decoy - bash -c '
    while :; do
      now=$(date -u +%FT%TZ)
      curl -sS -o "$STATE/decoy.reply" --noproxy "*" --cacert "$STATE/pki/ca.crt" -H "@$STATE/pki/admin.header" \
        -X PATCH -H "Content-Type: application/strategic-merge-patch+json" "$URL" -d "{\"status\": {\"conditions\": [
          {\"type\": \"Ready\", \"status\": \"True\", \"reason\": \"Decoy\", \"lastHeartbeatTime\": \"$now\"}]}}"
      sleep 3
    done'
}

# What an operator would set up for Cove: a namespace, an account with the role of deploy/kubernetes, a RuntimeClass without network, and a private image with its pull secret.
furnish() {
  [ ! -f "$STATE/furnished" ] || return 0
  admin apply -f - >/dev/null <<YAML
apiVersion: v1
kind: Namespace
metadata: {name: $NAMESPACE}
---
apiVersion: node.k8s.io/v1
kind: RuntimeClass
metadata: {name: no-network}
handler: no-network
YAML
  admin -n $NAMESPACE apply -f "$ROLE" >/dev/null # the account has what Cove asks for, and nothing else
  local secret='' end=$((SECONDS + 30))
  until [ -n "$secret" ]; do
    [ $SECONDS -lt $end ] || die "the account cove-engine got no token, see $STATE/log/manager.log"
    secret=$(admin -n $NAMESPACE get serviceaccount cove-engine -o 'jsonpath={.secrets[0].name}') || true
    [ -n "$secret" ] || sleep 0.2
  done
  kubeconfig "$STATE/cove.kubeconfig" \
    "$(admin -n $NAMESPACE get secret "$secret" -o 'jsonpath={.data.token}' | base64 -d)" $NAMESPACE
  admin -n $NAMESPACE create secret docker-registry private-registry --docker-server "127.0.0.1:$REGISTRY_PORT" \
    --docker-username cove --docker-password "$(<"$STATE/registry.password")" >/dev/null
  local private=127.0.0.1:$REGISTRY_PORT/cove/private:1
  runtime images tag "$TAG/busybox:1" "$private" >/dev/null
  runtime images push --plain-http --user "cove:$(<"$STATE/registry.password")" "$private" >>"$STATE/log/images.log" 2>&1 ||
    die "pushing to the registry failed, see $STATE/log/images.log"
  runtime images rm "$private" >/dev/null
  end=$((SECONDS + 30))
  until admin -n $NAMESPACE get serviceaccount default -o 'jsonpath={.secrets[0].name}' | grep -q .; do
    [ $SECONDS -lt $end ] || die "the namespace got no default account"
    sleep 0.2
  done
  touch "$STATE/furnished"
}

# ---------------------------------------------------------------- commands

up() {
  mkdir -p "$CACHE/log"
  exec 9>"$CACHE/lock"
  flock 9
  need_programs
  # Left by a machine that went down, or by a run that was killed: its mounts, network and pods are gone.
  if [ -d "$STATE" ] && ! any_alive; then
    say "wiping what is left of a cluster that was killed"
    wipe
  fi
  mkdir -p "$STATE"/{log,pid}
  chmod 700 "$STATE"
  [ -e /sys/fs/cgroup/memory/tasks ] || say "no cgroup v1 memory hierarchy here: this was only ever tried with one"
  build_programs
  make_images
  make_keys
  [ -f "$STATE/kubelet.yaml" ] || make_settings
  start_control_plane
  start_node
  start_decoy
  furnish
  printf 'KUBECONFIG=%s\n' "$STATE/cove.kubeconfig"
  printf 'ADMIN_KUBECONFIG=%s\n' "$STATE/admin.kubeconfig"
}

build() {
  mkdir -p "$CACHE/log"
  exec 9>"$CACHE/lock"
  flock 9
  need_programs
  build_programs
  make_images
}

images() {
  mkdir -p "$CACHE/log"
  exec 9>"$CACHE/lock"
  flock 9
  make_images
}

status() {
  local name all=0
  for name in "${SERVICES[@]}"; do
    if alive "$name"; then
      printf '%-11s running  pid %s\n' "$name" "$(cut -d' ' -f1 "$STATE/pid/$name")"
    else
      printf '%-11s stopped\n' "$name"
      all=1
    fi
  done
  if alive apiserver; then
    printf '%-11s %s\n' node "$(node_ready 2>/dev/null && echo ready || echo 'not ready')"
    printf 'KUBECONFIG=%s\nADMIN_KUBECONFIG=%s\nREGISTRY=127.0.0.1:%s (user cove, password in %s)\n' "$STATE/cove.kubeconfig" \
      "$STATE/admin.kubeconfig" "$REGISTRY_PORT" "$STATE/registry.password"
  fi
  return $all
}

# Shims outlive containerd by design; ours are told by the socket on their command line.
our_shims() {
  local cmdline
  for cmdline in /proc/[0-9]*/cmdline; do
    if { tr '\0' ' ' <"$cmdline"; } 2>/dev/null | grep -q "containerd-shim-runc-v2.*-address $STATE/containerd.sock "; then
      cmdline=${cmdline#/proc/} && printf '%s\n' "${cmdline%/cmdline}"
    fi
  done
}

down() {
  [ -d "$STATE" ] || { say "nothing is up"; return 0; }
  exec 9>"$CACHE/lock"
  flock 9
  wipe
  say "down; built programs stay in $CACHE"
}

wipe() {
  stop kubelet
  local name id uid pid dir i
  if alive containerd; then
    for id in $(runtime tasks ls -q 2>/dev/null); do runtime tasks kill --all --signal KILL "$id" 2>/dev/null || true; done
    for id in $(runtime tasks ls -q 2>/dev/null); do runtime tasks delete --force "$id" >/dev/null 2>&1 || true; done
    for id in $(runtime containers ls -q 2>/dev/null); do runtime containers delete "$id" >/dev/null 2>&1 || true; done
  fi
  for name in decoy containerd registry scheduler manager apiserver etcd; do stop "$name"; done
  for pid in $(our_shims); do kill -KILL "$pid" 2>/dev/null || true; done
  # Log folders of pods end in their uids.
  for uid in $(ls "$STATE/kubelet/pods" 2>/dev/null); do rm -rf /var/log/pods/*_"$uid"; done
  [ ! -e "$STATE/owns-logs" ] || rm -rf /var/log/pods
  find /var/log/containers -maxdepth 1 -xtype l -lname '/var/log/pods/*' -delete 2>/dev/null || true
  # Mounts under the state folder, deepest first: volumes, root file systems, network namespaces.
  for ((i = 0; i < 3; i++)); do
    awk -v s="$STATE/" 'index($2, s) == 1 {print $2}' /proc/self/mounts | sort -r |
      while read -r dir; do umount -l "$dir" 2>/dev/null || true; done
  done
  ip link del "$BRIDGE" 2>/dev/null || true
  for dir in /sys/fs/cgroup/*/"$CGROUP"; do
    [ ! -d "$dir" ] || find "$dir" -depth -type d -exec rmdir {} + 2>/dev/null || true
  done
  ! grep -q " $STATE/" /proc/self/mounts || die "something is still mounted under $STATE, not removing it"
  rm -rf "$STATE"
}

[ "$(id -u)" = 0 ] || die "needs root"
case ${1:-} in
up | down | status | build | images) "$1" ;;
*) die "use: $0 up|down|status|build|images" ;;
esac
