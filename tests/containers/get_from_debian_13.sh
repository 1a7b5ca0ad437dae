#!/bin/sh
# Docker's Compose and Buildx, and kubectl: Debian 12 has none that know today's files, Debian 13 has (root).
set -eu
docker compose version >/dev/null 2>&1 && docker buildx version >/dev/null 2>&1 && command -v kubectl >/dev/null && exit
folder=$(mktemp -d)
trap 'rm -r "$folder"' EXIT
mkdir "$folder/lists"
echo "deb http://deb.debian.org/debian trixie main" >"$folder/sources.list"
set -- -qq -o APT::Sandbox::User=root -o "Dir::State::Lists=$folder/lists" \
  -o "Dir::Etc::SourceList=$folder/sources.list" -o Dir::Etc::SourceParts=-
cd "$folder"
apt-get "$@" update
apt-get "$@" download docker-compose/trixie docker-buildx/trixie kubectl/trixie
dpkg --install ./*.deb >/dev/null
