# Help texts, version, and what a mistyped word is told.
. "$SOURCE/tests/cli/lib.sh"

run help
same help_list help.txt
for command in $(sed -n '/^Commands:/,/^$/s/^  \([a-z]*\) .*/\1/p' "$work/out"); do
    run "$command" --help
    same "help_$command" "help_$command.txt"
    holds "help_${command}_succeeds" test "$code" = 0
    holds "help_${command}_width" test "$(awk 'length > 80 && !/^  [#n]/' "$work/out" | wc -l)" = 0
    cp "$work/out" direct
    run help "$command"
    holds "help_${command}_twice" cmp -s direct "$work/out"
done
run
holds no_command_is_usage test "$code" = 2
holds no_command_prints_on_stderr grep -q '^Usage: nissl COMMAND' "$work/err"
run --help
holds dashed_help grep -q '^Commands:' "$work/out"
run version
holds version_is_one_line test "$(wc -l <"$work/out")" = 1
run --version
holds dashed_version grep -Eq '^nissl [0-9]+\.[0-9]+\.[0-9]+' "$work/out"
run version --long
holds version_long_names_compiler grep -q '^build.compiler' "$work/out"
run version --json
holds version_json_has_libraries grep -q '"libraries"' "$work/out"

error unknown_command 2 "unknown command 'inspct'; did you mean 'inspect'" inspct
error unknown_command_far 2 "unknown command 'zebra'; see nissl help" zebra
error unknown_option 2 "unknown option '--sitse' of nissl record; did you mean '--sites'" record --sitse x
error unknown_option_far 2 "unknown option '--zebra'; see nissl record --help" record --zebra
error unknown_letter 2 "unknown option '-z'" inspect -z
error missing_value 2 "--seed needs a value: --seed N" inspect m --seed
error missing_letter_value 2 "-o needs a value: -o REC.nwb" record m s -o
error flag_with_value 2 "--json takes no value" inspect m --json=yes
error missing_operand 2 "MODEL is missing; usage: nissl inspect MODEL" inspect
error missing_second_operand 2 "STIMULI is missing" record m
error too_many_operands 2 "too many operands: 'b' is number 2 and nissl inspect takes 1" inspect a b
error threads_negative 2 "--threads -1 is outside 0 .. 1024" inspect m --threads -1
error threads_word 2 "--threads needs a whole number, not 'abc'" inspect m --threads abc
error threads_fraction 2 "--threads needs a whole number, not '1.5'" inspect m -t 1.5
error threads_huge 2 "outside 0 .. 1024" inspect m -t 99999999999999999999
error memory_word 2 "--memory needs a size such as" inspect m --memory lots
error memory_unit 2 "--memory needs a size such as" inspect m --memory 3X
error tolerance_word 2 "--tolerance needs a number" verify m -r d --tolerance tight
error tolerance_nan 2 "--tolerance needs a number" verify m -r d --tolerance nan
error summary_choice 2 "--summary 'median' is none of mean.max.centre" record m s -o r --summary median
error control_characters 2 'unknown command .\?\[31mred' $'\033[31mred'
finish
