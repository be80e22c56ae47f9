#!/bin/sh
# Kubernetes 1.20 from the distribution's source package, the newest of it that holds more than kubectl:
#
#   tests/deploy/kubernetes.sh FOLDER        needs golang-1.19-go and a Debian mirror; binaries into FOLDER/bin
#
# About five minutes of one core and 3 GB. What is in FOLDER/bin already is not built again.
set -eu
mkdir -p "$1"
folder=$(cd "$1" && pwd)
source=$folder/go/src/k8s.io/kubernetes
parts="kube-apiserver kube-controller-manager kube-scheduler kubelet kube-proxy"

built=yes
for part in $parts; do [ -x "$folder/bin/$part" ] || built=no; done
[ "$built" = no ] || exit 0

# The sources of the mirror and suite that packages come from here, in lists of their own.
set -- $(apt-cache policy etcd-server | awk '/:\/\// {print $2, $3; exit}')
mkdir -p "$folder/lists/partial" "$source" "$folder/bin"
echo "deb-src [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $1 ${2%%/*} ${2#*/}" > "$folder/sources.list"
lists="-o Dir::Etc::sourcelist=$folder/sources.list -o Dir::Etc::sourceparts=- -o Dir::State::lists=$folder/lists"
apt-get $lists update -qq
(cd "$folder" && apt-get $lists source -qq --download-only kubernetes)
tar --extract --gzip --strip-components=1 --directory "$source" --file "$folder"/kubernetes_*.orig.tar.gz

export GOPATH="$folder/go" GOCACHE="$folder/cache" GO111MODULE=off CGO_ENABLED=0 PATH="/usr/lib/go-1.19/bin:$PATH"
cd "$source"
# The schema that the API server offers is generated, and no part of the package.
go build -o "$folder/bin/openapi-gen" ./vendor/k8s.io/kube-openapi/cmd/openapi-gen
staging=
for part in api apimachinery apiserver apiextensions-apiserver kube-aggregator component-base metrics cloud-provider \
    kube-scheduler kube-proxy kubelet kube-controller-manager client-go; do
    staging="$staging staging/src/k8s.io/$part"
done
packages=$(grep -rl --include='*.go' '+k8s:openapi-gen=' $staging pkg cmd | xargs -n1 dirname | sort -u |
    sed 's#^staging/src/#vendor/#; s#^#k8s.io/kubernetes/#' | paste -sd,)
"$folder/bin/openapi-gen" --go-header-file hack/boilerplate/boilerplate.generatego.txt -O zz_generated.openapi \
    -p k8s.io/kubernetes/pkg/generated/openapi -r "$folder/violations" --input-dirs "$packages"

prefix=k8s.io/kubernetes/vendor/k8s.io/component-base/version
version="-X $prefix.gitVersion=v1.20.2 -X $prefix.gitMajor=1 -X $prefix.gitMinor=20"
for part in $parts; do
    go build -ldflags "-s -w $version" -o "$folder/bin/$part" "./cmd/$part"
done
