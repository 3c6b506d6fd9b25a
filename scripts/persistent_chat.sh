#!/bin/sh
# A conversation that outlasts the program: what was said lies in FOLDER/transcript.txt, what the model has computed of
# it in FOLDER/state, so that each answer costs only what is new, today or next week.
#
#   scripts/persistent_chat.sh FOLDER [options of llamakit run]
#
# PROMPT is the text to begin with, NAME the one you have in it, OTHER the model's. An empty line, or Ctrl-D, leaves.
set -eu
here=$(dirname "$0")/..
folder=${1:?give a folder for the conversation}
shift
prompt=${PROMPT:-$here/prompts/chat-with-ines.txt} you=${NAME:-Visitor} other=${OTHER:-Ines} context=${CONTEXT:-2048}
transcript=$folder/transcript.txt next=$folder/next.txt answer=$folder/answer.txt
mkdir -p "$folder"
[ -e "$transcript" ] || cp "$prompt" "$transcript"

tail -n 5 "$transcript"
while printf ' ' && read -r line && [ -n "$line" ]; do
    if [ "$(wc -c <"$transcript")" -gt $((3 * context)) ]; then # 3 letters a token: it may not fit much longer
        { cat "$prompt" && printf ' ...\n' && tail -c "$context" "$transcript" | sed 1d; } >"$next"
    else
        cp "$transcript" "$next"
    fi
    printf ' %s\n%s:' "$line" "$other" >>"$next"
    printf '%s:' "$other"
    # shellcheck disable=SC2086  # LLAMAKIT may be several words
    ${LLAMAKIT:-llamakit} run -f "$next" --no-escape -r "$you:" -n "${N_PREDICT:-200}" -c "$context" \
        --prompt-cache "$folder/state" --prompt-cache-all --no-display-prompt --log-disable "$@" |
        sed 's/ \[end of text\]$//' | tee "$answer"
    [ -s "$answer" ] || exit 1 # the error was told; the transcript is as it was
    case $(tail -n 1 "$answer") in
        *"$you:") head -c -1 "$answer" >>"$next" ;;
        *) cat "$answer" >>"$next" && printf '%s:' "$you" | tee -a "$next" ;; # too long, or the model ended the text
    esac
    mv "$next" "$transcript"
done
