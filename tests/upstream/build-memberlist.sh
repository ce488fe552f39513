#!/bin/sh
# Builds a member of HashiCorp's memberlist from Go modules into the folder given: of the version that MetalLB uses, or of
# the one that MEMBERLIST names.
#   [MEMBERLIST=v0.6.0] tests/upstream/build-memberlist.sh OUT-FOLDER
# Needs a Go toolchain and the module proxy; under a minute.
set -eu
out=${1:?usage: build-memberlist.sh OUT-FOLDER}
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
mkdir -p "$out"
out=$(cd "$out" && pwd)
source=$(mktemp -d)
trap 'rm -rf "$source"' EXIT INT TERM
cp "$here/memberlist/go.mod" "$here/memberlist/member.go" "$source"
cd "$source"
[ -z "${MEMBERLIST-}" ] || go mod edit -require="github.com/hashicorp/memberlist@$MEMBERLIST"
go mod tidy
go build -o "$out/memberlist-member" .
echo "$out/memberlist-member"
