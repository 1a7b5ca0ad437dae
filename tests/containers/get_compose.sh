#!/bin/sh
# Docker's Compose as a plugin: Debian 12 has none that knows today's files, Debian 13 has (root).
set -eu
docker compose version >/dev/null 2>&1 && exit
folder=$(mktemp -d)
trap 'rm -r "$folder"' EXIT
chmod 755 "$folder"
mkdir "$folder/lists"
echo "deb http://deb.debian.org/debian trixie main" >"$folder/sources.list"
set -- -qq -o APT::Sandbox::User=root -o "Dir::Etc::SourceList=$folder/sources.list" -o Dir::Etc::SourceParts=- -o "Dir::State::Lists=$folder/lists"
cd "$folder"
apt-get "$@" update
apt-get "$@" download docker-compose
dpkg --install ./*.deb >/dev/null
