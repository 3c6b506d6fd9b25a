#!/bin/sh
# Talk with someone a prompt describes, without a chat template: the text ends with your name, and so does each answer.
#
#   scripts/chat_with_a_person.sh [options of llamakit run]
#
# PROMPT is the text to begin with, NAME the one you have in it.
set -eu
here=$(dirname "$0")/..
# shellcheck disable=SC2086  # LLAMAKIT may be several words
${LLAMAKIT:-llamakit} run -f "${PROMPT:-$here/prompts/chat-with-ines.txt}" -i -r "${NAME:-Visitor}:" --in-prefix " " \
    --keep -1 --context-shift --repeat-penalty 1.1 "$@"
