#!/bin/sh
# Ask about a pixel: sh probabilities.sh http://127.0.0.1:7860 photo.jpg ROW COLUMN [model]
# Prints the result: the endpoint's values as a JSON array.
set -eu
address=$1 photo=$2 y=$3 x=$4 model=${5-}
api=$address/gradio_api

# 1. Upload the photo. The response is a JSON array with its path on the server.
path=$(curl -fsS -F "files=@\"$photo\"" "$api/upload" | sed 's/^\["//; s/"\]$//')
file="{\"path\": \"$path\", \"meta\": {\"_type\": \"gradio.FileData\"}}"

# 2. Call. The response names the event: {"event_id": "..."}
event=$(curl -fsS -H "Content-Type: application/json" -d "{\"data\": [$file, \"$model\", $y, $x]}" \
  "$api/call/probabilities" | sed 's/.*"event_id": *"//; s/".*//')

# 3. Listen until the event is over: "event: complete" or "event: error", and then its data.
answer=$(curl -fsSN "$api/call/probabilities/$event")
kind=$(printf '%s\n' "$answer" | sed -n 's/^event: //p' | tail -n 1)
data=$(printf '%s\n' "$answer" | sed -n 's/^data: //p' | tail -n 1)
if [ "$kind" != complete ]; then
  printf 'error: %s\n' "$data" >&2
  exit 1
fi
printf '%s\n' "$data"
