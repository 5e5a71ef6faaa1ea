# What the tests of the program share; sourced with the build's folder as $1. Prints "ok NAME", "not ok NAME" or
# "skip NAME" per case; a failed one is followed by what the program said.
set -u

out=${1:-build}
glip=$out/glip
helpers=$out/tests
pictures=tests/data/images
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
failures=0
status=0

# run ARG...: the program; its standard output in $tmp/out, its standard error in $tmp/err, its exit status in $status
run() {
	"$glip" "$@" >"$tmp/out" 2>"$tmp/err" </dev/null
	status=$?
}

pass() { echo "ok $1"; }

fail() {
	echo "not ok $1${2:+: $2}"
	failures=$((failures + 1))
	[ -s "$tmp/out" ] && head -c 2000 "$tmp/out" | cut -c 1-300 | sed 's/^/#   out: /'
	[ -s "$tmp/err" ] && head -c 2000 "$tmp/err" | sed 's/^/#   err: /'
}

# check NAME CONDITION...: a case that passes where the command succeeds
check() {
	local name=$1
	shift
	if "$@"; then pass "$name"; else fail "$name" "$*"; fi
}

skip() { echo "skip $1"; }

# refused NAME STATUS WORDS ARG...: the program must end with this status, say these words on standard error (a basic
# regular expression) and nothing on standard output
refused() {
	local name=$1 wanted=$2 words=$3
	shift 3
	run "$@"
	if [ "$status" -ne "$wanted" ]; then
		fail "$name" "status $status instead of $wanted"
	elif ! grep -q -- "$words" "$tmp/err"; then
		fail "$name" "no word of '$words'"
	elif [ -s "$tmp/out" ]; then
		fail "$name" "something on standard output"
	else
		pass "$name"
	fi
}

# good NAME ARG...: the program must end with status 0 and say nothing on standard error
good() {
	local name=$1
	shift
	run "$@"
	if [ "$status" -ne 0 ]; then
		fail "$name" "status $status"
	elif [ -s "$tmp/err" ]; then
		fail "$name" "something on standard error"
	else
		pass "$name"
	fi
}

json() { "$helpers/json_get" "$@"; }

# An untrained model; with the score threshold at 0 it finds as much as is asked for.
make_model() {
	"$helpers/make_model" mini-t "${2:-1}" "$1" || { echo "not ok making a model"; exit 1; }
}

finish() { exit $((failures > 0)); }
