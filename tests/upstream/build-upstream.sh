#!/bin/sh
# Builds kube-apiserver of the release the tests compare with, from Go modules, into the folder given.
#   tests/upstream/build-upstream.sh OUT-FOLDER
# Needs a Go toolchain and the module proxy; about ten minutes on two cores.
set -eu
version=1.36.3
staging=v0.${version#1.}
out=${1:?usage: build-upstream.sh OUT-FOLDER}
mkdir -p "$out"
out=$(cd "$out" && pwd)
source=$(mktemp -d)
trap 'chmod -R u+w "$source"; rm -rf "$source"' EXIT INT TERM

go mod download "k8s.io/kubernetes@v$version"
cp -r "$(go env GOMODCACHE)/k8s.io/kubernetes@v$version/." "$source"
chmod -R u+w "$source"
cd "$source"
# The release's own modules are v0.0.0 in its go.mod: its workspace file replaces them, which the proxy leaves out.
rm -f go.work go.work.sum
for module in $(awk '$1 ~ /^k8s.io\// && $2 == "v0.0.0" { print $1 }' go.mod); do
  go mod edit -replace="$module=$module@$staging"
done
stamp=k8s.io/component-base/version
GOFLAGS=-buildvcs=false go build -mod=mod -o "$out/" \
  -ldflags "-X $stamp.gitVersion=v$version -X $stamp.gitMajor=1 -X $stamp.gitMinor=36" ./cmd/kube-apiserver
echo "$out/kube-apiserver"
