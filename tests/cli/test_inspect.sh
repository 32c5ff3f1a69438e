# nissl inspect: facts, tables in three forms, filters.
. "$SOURCE/tests/cli/lib.sh"
model=$NETWORKS/trained_cnn/model.onnx

run inspect "$model"
holds succeeds test "$code" = 0
holds messages_stay_off_stdout test "$(grep -c '^nissl:' "$work/out")" = 0
grep -v '^#' "$work/out" >table
holds header test "$(head -1 table)" = "$(printf 'site\top\tshape\tunits\tpositions\tparameters\toperations')"
holds every_row_has_7_columns test "$(awk -F'\t' 'NF != 7' table | wc -l)" = 0
# 16 filters of 4 x 3 x 3 and a bias each, or whatever the file says: parameters by site add up
total=$(awk -F'\t' 'NR > 1 { n += $6 } END { print n }' table)
near parameters_add_up "$total" "$(sed -n 's/^# parameters\t//p' "$work/out")" 0
holds names_are_whole grep -q '^/7/GlobalAveragePool_output_0' table
cp "$work/out" first
run inspect "$model" -t 2
holds same_for_any_thread_count cmp -s first "$work/out"
run inspect "$model" --threads 0
holds threads_0_is_automatic test "$code" = 0

run inspect "$model" --sites '*Relu*'
holds glob test "$(grep -vc '^#' "$work/out")" = 3
run inspect "$model" --sites '!*Relu*,!*Conv*'
holds glob_excludes test "$(grep -c 'Relu\|Conv_' "$work/out")" = 0
error glob_without_match 1 "no site matches '/2/Relu_output_1'; did you mean '/2/Relu_output_0'" inspect "$model" -s /2/Relu_output_1
error glob_far 1 "no site matches 'zebra.'; the first of them is" inspect "$model" -s 'zebra*'

run inspect "$model" --nodes
holds nodes test "$(grep -v '^#' "$work/out" | head -1)" = "$(printf 'node\top\tinputs\toutputs')"
run inspect "$model" --json
holds json_schema grep -q '"columns"' "$work/out"
near json_parameters "$(json parameters)" "$total" 0

if script -qec true /dev/null </dev/null >/dev/null 2>&1; then
    script -qec "stty cols 80; '$NISSL' inspect '$model' -q" /dev/null </dev/null | tr -d '\r' >tty
    holds terminal_fits test "$(grep -v '^model' tty | awk '{ gsub(/…/, "."); if (length > 80) n++ } END { print n + 0 }')" = 0
    holds terminal_shortens grep -q '/7/Global…_output_0' tty
    holds terminal_has_no_tabs test "$(grep -c "$(printf '\t')" tty)" = 0
else
    skip terminal
fi

"$NISSL" inspect "$model" >/dev/full 2>err
holds full_stdout_fails test $? = 1
holds full_stdout_says_so grep -q 'cannot write standard output: No space left' err
finish
