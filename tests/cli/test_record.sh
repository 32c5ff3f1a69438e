# nissl record, tuning and unit: what is written, when, and what the recording says.
. "$SOURCE/tests/cli/lib.sh"
model=$NETWORKS/trained_cnn/model.onnx
stimuli=gratings:orientations=6,frequencies=1,2,phases=2

run record "$model" $stimuli --dry-run
holds dry_run_succeeds test "$code" = 0
holds dry_run_lists_sites_by_statistics grep -Eq "^y	moments	4	1	[0-9]+	[0-9]+$" "$work/out"
holds dry_run_says_memory grep -Eq '^# memory	.*\([0-9]+ bytes\)' "$work/out"
holds dry_run_writes_nothing test "$(ls | grep -c nwb)" = 0
planned=$(sed -n 's/^# disk.*(\([0-9]*\) bytes)/\1/p' "$work/out")

run record "$model" $stimuli -o a.nwb
holds record_succeeds test "$code" = 0
holds record_prints_nothing test ! -s "$work/out"
near disk_is_what_the_dry_run_said "$planned" "$(stat -c %s a.nwb)" 0.05
holds nothing_else_is_left test "$(ls -A | grep -v '^\(out\|err\|a.nwb\)$' | wc -l)" = 0
error existing_is_refused 1 "a.nwb exists already" record "$model" $stimuli -o a.nwb
expect force_replaces 0 record "$model" $stimuli -o a.nwb --force
run record "$model" $stimuli -o c.nwb --twin --json -q
holds twin_beside_it test -s c.twin.nwb
holds json_names_both grep -q '"twin": "c.twin.nwb"' "$work/out"
holds quiet_is_quiet test ! -s "$work/err"
expect twin_where_told 0 record "$model" $stimuli -o d.nwb --twin=other.nwb --sites y
holds twin_is_there test -s other.nwb
error twin_exists 1 "other.nwb exists already" record "$model" $stimuli -o e.nwb --twin=other.nwb
error no_output 2 "give -o REC.nwb, or --dry-run" record "$model" $stimuli
error no_folder 1 "nowhere/a.nwb" record "$model" $stimuli -o nowhere/a.nwb
error unknown_site 1 "zebra" record "$model" $stimuli -o f.nwb --sites 'zebra*'
error unknown_statistic 1 "median" record "$model" $stimuli -o f.nwb --reduce median
error too_little_memory 1 "needs [0-9.]+ .*(--memory allows|the limit is)" record "$model" $stimuli -o f.nwb --memory 100K
holds failures_leave_nothing test ! -e f.nwb

run tuning a.nwb
holds tuning_succeeds test "$code" = 0
cp "$work/out" tuned
run tuning "$model" $stimuli -t 2
holds tuning_without_recording cmp -s tuned "$work/out"
run tuning a.nwb --factor orientation --sites y
holds a_row_per_unit test "$(wc -l <"$work/out")" = 5
expect tuning_to_file 0 tuning a.nwb -o t.csv
holds csv_has_the_same_rows test "$(wc -l <t.csv)" = "$(wc -l <tuned)"
error csv_exists 1 "t.csv exists already" tuning a.nwb -o t.csv
expect tuning_to_json 0 tuning a.nwb -o t.json
holds json_file_has_columns grep -q '"columns"' t.json
run tuning a.nwb -o - --sites y
holds dash_is_stdout grep -q '^site,unit' "$work/out"
error unknown_factor 1 "no factor 'orientatoin'; did you mean orientation" tuning a.nwb -F orientatoin
error no_site 1 "no site matches 'zebra'" tuning a.nwb --sites zebra
error recording_with_stimuli 1 "is a recording" tuning a.nwb gratings
error model_without_stimuli 1 "a network needs STIMULI" tuning "$model"
error nothing_there 1 "cannot read gone.nwb: No such file" tuning gone.nwb
"$NISSL" tuning a.nwb -q >/dev/full 2>err
holds full_disk_fails test $? = 1
"$NISSL" tuning a.nwb -q -o /dev/full 2>err
holds full_device_fails test $? = 1
holds full_device_says_so grep -q 'No space left' err

run unit a.nwb y:2
holds unit_succeeds test "$code" = 0
holds unit_has_a_curve grep -q '^orientation (deg): ' "$work/out"
holds unit_fits_80_columns test "$(sed 's/[▁▂▃▄▅▆▇█▏▎▍▌▋▊▉±]/x/g' "$work/out" | awk 'length > 80' | wc -l)" = 0
run unit a.nwb y:2 --ascii
holds ascii_is_ascii test "$(LC_ALL=C grep -c '[^ -~]' "$work/out")" = 0
run unit a.nwb y:2 --json
mean=$(json mean)
holds unit_json_has_mean test -n "$mean"
near unit_agrees_with_tuning "$mean" "$(awk -F'\t' '$1 == "y" && $2 == 2 { print $6; exit }' tuned)" 1e-6
run unit "$model" $stimuli y:2 --json
near unit_without_recording "$(json mean)" "$mean" 1e-9
error unit_without_index 2 "'y' is no unit; write SITE:INDEX" unit a.nwb y
error unit_negative 2 "is no unit" unit a.nwb y:-1
error unit_too_high 1 "unit 4 of site 'y' is outside 0 .. 3" unit a.nwb y:4
error unit_unknown_site 1 "no site '/0/Conv_output'; did you mean '/0/Conv_output_0'" unit a.nwb /0/Conv_output:1
expect no_responses_still_records 0 record "$model" $stimuli -o m.nwb --reduce moments
error unit_needs_responses 1 "responses" unit m.nwb y:0
head -c 3000 a.nwb >cut.nwb
error truncated_recording 1 "cut.nwb" tuning cut.nwb
finish
