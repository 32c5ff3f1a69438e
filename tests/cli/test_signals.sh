# Killed in the middle: nothing that looks whole, and a second run works.
. "$SOURCE/tests/cli/lib.sh"
model=$NETWORKS/trained_cnn/model.onnx
# takes far longer than the wait below
long=gratings:orientations=90,frequencies=1,2,3,4,5,6,phases=90,contrasts=0.1,0.2,0.4,0.8

# interrupt SIGNAL CODE: a recording that is stopped so ends with that code and no recording
interrupt() {
    "$NISSL" record "$model" "$long" -o s.nwb -q 2>err &
    pid=$!
    sleep 0.5
    kill -s "$1" $pid
    wait $pid
    code=$?
    if [ "$code" = 0 ]; then
        skip "$1_comes_in_time"
        return
    fi
    holds "$1_exit_code" test "$code" = "$2"
    holds "$1_leaves_nothing_whole" test ! -e s.nwb
    [ "$1" = KILL ] || holds "$1_cleans_up" test "$(ls -A | grep -c nwb)" = 0
}
interrupt TERM 143
holds TERM_says_cancelled grep -q '^nissl: .*cancelled' err
interrupt KILL 137
rm -f s.nwb.partial
set -m # so that background commands do not ignore SIGINT
interrupt INT 130
echo "left by a killed run" >s.nwb.partial
expect a_later_run_works 0 record "$model" gratings:orientations=2,frequencies=1,phases=1 -o s.nwb
holds the_leftover_is_gone test "$(ls -A | grep -c nwb)" = 1
finish
