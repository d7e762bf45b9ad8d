#!/bin/sh
# Compare two models: sh compare.sh http://127.0.0.1:7860 photo.jpg MODEL_A MODEL_B
# Prints the result: the endpoint's values as a JSON array.
set -eu
address=$1 photo=$2 model_a=$3 model_b=$4
api=$address/gradio_api

# 1. Upload the photo. The response is a JSON array with its path on the server.
path=$(curl -fsS -F "files=@\"$photo\"" "$api/upload" | sed 's/^\["//; s/"\]$//')
file="{\"path\": \"$path\", \"meta\": {\"_type\": \"gradio.FileData\"}}"

# 2. Call. The response names the event: {"event_id": "..."}
event=$(curl -fsS -H "Content-Type: application/json" -d "{\"data\": [$file, \"$model_a\", \"$model_b\"]}" \
  "$api/call/compare" | sed 's/.*"event_id": *"//; s/".*//')

# 3. Listen until the event is over: "event: complete" or "event: error", and then its data.
answer=$(curl -fsSN "$api/call/compare/$event")
kind=$(printf '%s\n' "$answer" | sed -n 's/^event: //p' | tail -n 1)
data=$(printf '%s\n' "$answer" | sed -n 's/^data: //p' | tail -n 1)
if [ "$kind" != complete ]; then
  printf 'error: %s\n' "$data" >&2
  exit 1
fi
printf '%s\n' "$data"
