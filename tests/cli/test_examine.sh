# nissl examine and nissl demo: the whole job, and what is left of one that fails.
. "$SOURCE/tests/cli/lib.sh"
model=$NETWORKS/trained_cnn/model.onnx
stimuli=gratings:orientations=6,frequencies=1,2,phases=4+shapes

run examine "$model" $stimuli --dry-run
holds dry_run_succeeds test "$code" = 0
holds dry_run_counts_the_twin grep -q '^# networks	2 (the network and its twin)' "$work/out"
holds dry_run_writes_nothing test "$(ls | grep -vc '^\(out\|err\)$')" = 0

run examine "$model" $stimuli -o report --reference "$NETWORKS/trained_cnn"
holds examine_succeeds test "$code" = 0
holds prints_findings_or_none grep -Eq '^( 1\. |no finding that)' "$work/out"
holds prints_where grep -q "^report  *$work/report/index.html" "$work/out"
for file in index.html recording.nwb twin.nwb sites.csv units.json findings.csv not_tested.json; do
    holds "writes_$file" test -s "report/$file"
done
holds no_partial_is_left test ! -e report.partial
holds report_is_verified grep -rq 'stored tensors agree' report
holds report_lists_parameters grep -rq 'stimuli per run of the network' report
expect recording_opens 0 unit report/recording.nwb y:1
cp report/units.csv units.csv
error existing_report_is_refused 1 "report exists already" examine "$model" $stimuli -o report
run examine "$model" $stimuli -o report --force --no-twin -t 1 --title 'A title'
holds force_replaces test "$code" = 0
holds no_twin test ! -e report/twin.nwb
holds title_is_used grep -rq 'A title' report
run examine "$model" $stimuli -o again/ -t 1 --json
holds trailing_slash test -s again/index.html
holds json_names_the_report grep -q "\"report\": \"$work/again/index.html\"" "$work/out"
# The peak resident size is what the plan expected, within 10 % or 32 MiB.
as_expected() {
    awk -F '[:,]' '/"resident_bytes"/ { r = $2 } /"expected_bytes"/ { e = $2 }
        END { exit !(r > 0 && e > 0 && r - e < (e > 335544320 ? e / 10 : 33554432)) }' "$1"
}
if grep -aq __asan_init "$NISSL"; then
    skip memory_is_as_expected_of_a_small_network
else
    holds memory_is_as_expected_of_a_small_network as_expected "$work/out"
fi
holds same_for_any_thread_count cmp -s again/units.csv units.csv

mkdir mine && echo text >mine/thesis.txt
error foreign_folder_is_kept 1 "was not written by nissl, so --force does not replace it" examine "$model" $stimuli -o mine --force
holds foreign_file_is_kept test -s mine/thesis.txt
mkdir empty
expect empty_folder_is_used 0 examine "$model" $stimuli -o empty --no-twin --sites y
holds empty_folder_is_filled test -s empty/index.html
error no_output 2 "give -o REPORT, or --dry-run" examine "$model" $stimuli
error parent_missing 1 "cannot make the folder nowhere/r.partial: No such file" examine "$model" $stimuli -o nowhere/r
error bad_model 1 "gone.onnx" examine gone.onnx $stimuli -o r
error bad_reference 1 "gone" examine "$model" $stimuli -o r --reference gone
error unknown_site 1 "zebra" examine "$model" $stimuli -o r --sites zebra
error too_little_memory 1 "needs [0-9.]+ .*(--memory allows|the limit is)" examine "$model" $stimuli -o r --memory 100K
holds failures_leave_nothing test "$(ls -d r r.partial 2>/dev/null | wc -l)" = 0
(ulimit -f 32 && "$NISSL" examine "$model" $stimuli -o r -q >out 2>err)
holds full_disk_fails test $? = 1
holds full_disk_one_line test "$(wc -l <err)" = 1
holds full_disk_leaves_nothing test "$(ls -d r r.partial 2>/dev/null | wc -l)" = 0

# killed, interrupted, and run again
long=gratings:orientations=60,frequencies=1,2,3,4,5,6,phases=36,contrasts=0.1,0.2,0.4,0.8
"$NISSL" examine "$model" $long -o k -q 2>err &
pid=$!
for _ in $(seq 50); do [ -e k.partial/.nissl ] && break; sleep 0.05; done
error two_at_once 1 "another nissl is writing k" examine "$model" $stimuli -o k
kill -s KILL $pid
wait $pid 2>/dev/null
holds killed_leaves_no_report test ! -e k
holds killed_leaves_a_partial test -e k.partial
run examine "$model" $stimuli -o k --no-twin --sites y
holds a_second_run_works test -s k/index.html
holds a_second_run_says_so grep -q 'note: replacing k.partial, left by a run that was killed' "$work/err"
holds the_partial_is_gone test ! -e k.partial
mkdir t.partial && echo text >t.partial/thesis.txt
error foreign_partial_is_kept 1 "in the way and was not written by nissl" examine "$model" $stimuli -o t
"$NISSL" examine "$model" $long -o t2 -q 2>err &
pid=$!
for _ in $(seq 50); do [ -e t2.partial/.nissl ] && break; sleep 0.05; done
kill -s TERM $pid
wait $pid
holds terminated_exit_code test $? = 143
holds terminated_cleans_up test "$(ls -d t2 t2.partial 2>/dev/null | wc -l)" = 0

run demo -o demo
holds demo_succeeds test "$code" = 0
# simple cells: all of them, and of the twin's fewer than a quarter
holds demo_recovers_simple_cells awk -F'\t' '$1 == "simple" && $2 == "network" { ok = $3 > 0 && $6 == $3 } END { exit !ok }' "$work/out"
holds demo_recovers_complex_cells awk -F'\t' '$1 == "complex" && $2 == "network" { ok = $3 > 0 && $6 == $3 } END { exit !ok }' "$work/out"
holds demo_twin_does_not awk -F'\t' '$2 == "twin" { n += $3; found += $6 } END { exit !(n > 0 && found < n / 4) }' "$work/out"
holds demo_prints_findings grep -q '^ 1\. ' "$work/out"
holds demo_keeps_its_model test -s demo/model/visual_cortex.onnx
holds demo_model_is_named_by_a_path_that_moves grep -rq 'model/visual_cortex.onnx' demo/data demo/index.html
expect demo_model_opens 0 inspect demo/model/visual_cortex.onnx
finish

# Real networks, where their data is.
data=${NISSL_DATA:-$SOURCE/../shared/data}
resnet=$data/models/resnet20_cifar10 squeezenet=$data/models/squeezenet1.1
if [ -r "$squeezenet" ] && ! grep -aq __asan_init "$NISSL"; then
    run examine "$resnet/resnet20_bn.onnx" "$data/cifar10/cifar10_test4000_from_jpeg.bin" --limit 1000 \
        --preprocess "$resnet/reference/preprocess.json" -o resnet --json
    holds memory_is_as_expected_of_resnet20 as_expected "$work/out"
    run examine "$squeezenet/SqueezeNet1.1_fp32_derived.onnx" "$data/images/imagenet_500" --limit 60 \
        --preprocess "$squeezenet/reference/preprocess.json" -o squeezenet --json
    holds memory_is_as_expected_of_squeezenet as_expected "$work/out"
else
    skip memory_is_as_expected_of_resnet20
    skip memory_is_as_expected_of_squeezenet
fi
