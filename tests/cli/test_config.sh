# Options from a JSON file.
. "$SOURCE/tests/cli/lib.sh"
model=$NETWORKS/trained_cnn/model.onnx

echo '{"json": true, "threads": 1, "sites": "/3/*"}' >good.json
run inspect "$model" --config good.json
holds flags_from_file grep -q '"table"' "$work/out"
holds text_from_file test "$(grep -c 'MaxPool_output_0' "$work/out")" = 1
run inspect "$model" --config good.json --no-json --sites '/2/*'
holds command_line_wins grep -q '^/2/Relu_output_0' "$work/out"

printf '{"model": "%s"}' "$model" >operand.json
expect operand_from_file 0 inspect --config operand.json
expect operand_of_command_line_wins 0 inspect "$model" --config operand.json
echo '{"memory": "2G"}' >size.json
expect size_as_text 0 inspect "$model" --config size.json
echo '{"memory": 2000000000}' >size.json
expect size_as_number 0 inspect "$model" --config size.json

echo '{"thread": 1}' >bad.json
error unknown_key 2 "bad.json: unknown option '--thread'.*did you mean '--threads'" inspect "$model" --config bad.json
echo '{"threads": "many"}' >bad.json
error wrong_type 2 'bad.json: "threads" needs a whole number' inspect "$model" --config bad.json
echo '{"threads": -3}' >bad.json
error out_of_range 2 "bad.json: --threads -3 is outside 0 .. 1024" inspect "$model" --config bad.json
echo '{"json": 1}' >bad.json
error number_for_flag 2 'bad.json: "json" needs a boolean' inspect "$model" --config bad.json
echo '{"threads": 1,}' >bad.json
error malformed 2 "bad.json: line 1" inspect "$model" --config bad.json
echo '[]' >bad.json
error not_an_object 2 "bad.json: not a JSON object" inspect "$model" --config bad.json
echo '{"threads": 1, "threads": 2}' >bad.json
error duplicate_key 2 "bad.json: line 1: duplicate" inspect "$model" --config bad.json
error missing_file 2 "missing.json" inspect "$model" --config missing.json
head -c 100000 /dev/zero | tr '\0' '[' >deep.json
error nested_deeply 2 "deep.json: line 1" inspect "$model" --config deep.json
finish
