#!/bin/sh
# Turn a request into a command that a program can read: a few examples, and a schema that the answer must fit.
#
#   scripts/json_request.sh "call my sister at eight" [options of llamakit run]
set -eu
here=$(dirname "$0")/..
request=${1:?give a request, such as "call my sister at eight"}
shift
prompt=$(cat "$here/prompts/json-request.txt" && printf '\n\nRequest: %s\nCommand: .' "$request")
# shellcheck disable=SC2086  # LLAMAKIT may be several words
${LLAMAKIT:-llamakit} run -p "${prompt%.}" --no-escape --json-schema-file "$here/prompts/json-request.schema.json" \
    -n 100 --temp 0 --no-display-prompt --log-disable "$@" | sed 's/ \[end of text\]$//'
