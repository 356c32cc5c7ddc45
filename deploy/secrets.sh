#!/bin/sh
# Draw the secrets that deploy/compose.yaml mounts, once: what is there already is left.
#
#   OPENAI_API_KEY=… sh deploy/secrets.sh [FOLDER]
#
# The folder is for its owner alone; the files in it can be read by the containers' users.
set -eu
folder=${1:-$(dirname "$0")/secrets}
umask 077
mkdir -p "$folder"

draw() { # name, text
    [ -s "$folder/$1" ] || printf '%s\n' "$2" > "$folder/$1"
    chmod 444 "$folder/$1"
}

draw postgres_password "$(openssl rand -hex 24)"
draw postgres_dsn "postgresql://talklog:$(cat "$folder/postgres_password")@postgres/talklog"
draw jwt_secret "$(openssl rand -base64 48)"
draw openai_api_key "${OPENAI_API_KEY:-none}"
