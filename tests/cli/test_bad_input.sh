# Bad input: one clear line, exit code 1, nothing left behind.
. "$SOURCE/tests/cli/lib.sh"
model=$NETWORKS/trained_cnn/model.onnx
stimuli=gratings:orientations=6,frequencies=1,2,phases=2

for command in inspect "verify -r x" "record -o r.nwb" "tuning" "unit"; do
    set -- $command
    name=$1
    shift
    operands=$([ "$name" = inspect ] || [ "$name" = verify ] || echo $stimuli)
    [ "$name" = unit ] && operands="$operands y:0"
    error "${name}_missing_model" 1 "gone.onnx" "$name" gone.onnx $operands "$@"
    error "${name}_folder_as_model" 1 "." "$name" "$work" $operands "$@"
    head -c 1000 "$model" >cut.onnx
    error "${name}_truncated_model" 1 "cut.onnx" "$name" cut.onnx $operands "$@"
    : >empty.onnx
    error "${name}_empty_model" 1 "empty.onnx" "$name" empty.onnx $operands "$@"
    echo "not a network" >text.onnx
    error "${name}_text_as_model" 1 "text.onnx" "$name" text.onnx $operands "$@"
done
# the operator's name is stored as text, so one of equal length makes an unknown one
sed 's/LeakyRelu/ZebraRelu/g' "$model" >unknown.onnx
error unknown_operator 1 "ZebraRelu" inspect unknown.onnx
python3 - <<'END'
def varint(n):
    out = bytearray()
    while n > 0x7f:
        out.append(n & 0x7f | 0x80)
        n >>= 7
    return bytes(out) + bytes([n])


def number(field, n):
    return varint(field << 3) + varint(n)


def message(field, body):
    return varint(field << 3 | 2) + varint(len(body)) + body


def model(graph):
    return number(1, 7) + message(8, number(2, 13)) + message(7, graph)


relu = message(1, message(1, b"x") + message(2, b"y") + message(4, b"Relu"))
tensor = number(1, 1 << 60) + number(2, 1) + message(8, b"w") + message(9, bytes(4))
graph = b""
for _ in range(10000):  # a node whose attribute holds a graph
    graph = message(1, message(4, b"If") + message(5, message(1, b"g") + message(6, graph)))
open("huge.onnx", "wb").write(model(relu + message(5, tensor)))
open("deep.onnx", "wb").write(model(graph))
END
error huge_tensor 1 "huge.onnx: .*1152921504606846976" inspect huge.onnx
error nested_ten_thousand_deep 1 "deep.onnx: .*deep" inspect deep.onnx

mkdir images && echo "not an image" >images/a.jpg && cp "$FIXTURES/images/rgb.png" images/b.png
error not_an_image 1 "a.jpg" record "$model" images -o r.nwb
mkdir cut && head -c 200 "$FIXTURES/images/rgb.png" >cut/a.png
error truncated_image 1 "a.png" record "$model" cut -o r.nwb
printf 'a,b,c,d\n5.1,3.5,1.4,0.2\n' >rows.csv
error stimulus_of_wrong_shape 1 "[0-9]" record "$model" rows.csv -o r.nwb
error missing_stimuli 1 "gone" record "$model" gone -o r.nwb
mkdir empty
error empty_folder 1 "empty" record "$model" empty -o r.nwb
error unknown_generator 1 "zebra" record "$model" gratings+zebra -o r.nwb
error unknown_generator_option 1 "colour" record "$model" gratings:colour=3 -o r.nwb
error missing_preprocess 1 "gone.json" record "$model" $stimuli --preprocess gone.json -o r.nwb
error shape_contradicts 1 "3x12x12.*1x12x12" record "$model" $stimuli --shape 3x12x12 -o r.nwb
error shape_malformed 1 "needs dimensions such as 3x224x224" inspect "$model" --shape big
holds nothing_was_written test ! -e r.nwb

# a disk that fills up: a limit on the size of files
(ulimit -f 16 && "$NISSL" record "$model" $stimuli -o full.nwb -q 2>err)
holds full_disk_fails test $? = 1
holds full_disk_one_line test "$(wc -l <err)" = 1
holds full_disk_leaves_nothing test "$(ls -A | grep -c 'full')" = 0
finish
