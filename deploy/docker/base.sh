#!/bin/sh
# A base image from the distribution alone, for sites that reach a Debian mirror and no registry of images.
#
#   deploy/docker/base.sh IMAGE [PACKAGE...]      needs mmdebstrap and a Docker daemon; MIRROR overrides the mirror
#
# Debian 12 with Python 3.11, the C++ runtime that grpc's core needs (a slim image lacks it: `import grpc` fails there),
# certificates, and the packages named. Documentation and translations are left out.
set -eu
image=$1
shift
packages="python3,libstdc++6,ca-certificates"
for package in "$@"; do packages="$packages,$package"; done
mmdebstrap --quiet --variant=essential --include="$packages" \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
    --dpkgopt='path-exclude=/usr/share/locale/*' --dpkgopt='path-exclude=/usr/share/info/*' \
    bookworm - ${MIRROR:-} | docker import --change 'ENV LANG=C.UTF-8' - "$image"
