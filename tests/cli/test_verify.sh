# nissl verify: stored tensors, tolerance, accuracy, references made by onnxruntime.
. "$SOURCE/tests/cli/lib.sh"
folder=$NETWORKS/trained_cnn
model=$folder/model.onnx

run verify "$model" -r "$folder"
holds passes test "$code" = 0
holds compares_output_and_sites test "$(grep -v '^#' "$work/out" | tail -n +2 | wc -l)" = 8
holds every_ratio_is_small awk -F'\t' '!/^#/ && $1 != "tensor" && !($7 < 1e-5) { exit 1 }' "$work/out"
run verify "$model" -r "$folder" --json
holds json_passes grep -q '"passed": true' "$work/out"
cp "$work/out" first
run verify "$model" -r "$folder" --json --batch 1
near batch_1_agrees "$(json n_compared)" 8 0
run verify "$model" -r "$folder" --json -t 1
holds same_for_any_thread_count cmp -s first "$work/out"

for network in "$NETWORKS"/*/; do
    name=$(basename "$network")
    tolerance=1e-4
    [ "$name" = float16 ] && tolerance=5e-3 # computed in half precision where it was stored
    expect "verify_$name" 0 verify "$network/model.onnx" -r "$network" --tolerance $tolerance
done

# a tensor that differs: an output of other weights
mkdir other && cp "$folder/input.npy" other/
cp "$NETWORKS/trained_mlp/output.npy" other/
run verify "$model" -r other
holds difference_is_found test "$code" = 1
holds difference_is_named grep -Eq '^nissl: 1 of 1 tensors differ by more than 0.0001 of their range' "$work/err"
holds difference_is_printed grep -q 'differs$' "$work/out"
expect wide_tolerance 0 verify "$model" -r other --tolerance 1000

error no_reference 1 "nowhere: no reference_input.npy or input.npy here" verify "$model" -r nowhere
mkdir input_only && cp "$folder/input.npy" input_only/
error nothing_stored 1 "input_only: no reference_logits.npy" verify "$model" -r input_only
mkdir cut && cp "$folder/output.npy" cut/ && head -c 200 "$folder/input.npy" >cut/input.npy
error truncated_input 1 "cut/input.npy" verify "$model" -r cut
mkdir shape && cp "$NETWORKS/trained_mlp/output.npy" shape/ && cp "$NETWORKS/squeezenet/input.npy" shape/
error input_of_wrong_shape 1 "[0-9]" verify "$model" -r shape
error against_nothing 2 "against what" verify "$model"
error two_references 2 "give one" verify "$model" -r x --runtime onnxruntime
error unknown_runtime 2 "none of onnxruntime" verify "$model" --runtime tensorflow

# accuracy: labels that the network itself gives are right by construction
run tuning "$model" gratings:orientations=4,frequencies=2,phases=1 -q
holds generator_as_stimuli test "$code" = 0
printf 'a,b,c,d\n5.1,3.5,1.4,0.2\n' >rows.csv
error stimuli_of_wrong_shape 1 "[0-9]" verify "$model" --stimuli rows.csv
error stimuli_without_labels 1 "has a label" verify "$model" --stimuli noise:n=4
printf 'index\tname\n9\tnine\n' >classes.tsv
error class_outside_output 1 "classes.tsv: line 2: output 9 is outside the network's 0 .. 3" \
    verify "$model" --stimuli noise:n=4 --classes classes.tsv
printf 'name\tother\nnine\tten\n' >classes.tsv
error classes_without_index 1 "classes.tsv: needs a column of whole numbers" \
    verify "$model" --stimuli noise:n=4 --classes classes.tsv

NISSL_PYTHON=/nonexistent run verify "$model" --runtime onnxruntime
holds no_python_fails test "$code" = 1
holds no_python_says_so grep -q 'needs Python, and /nonexistent does not start' "$work/err"
if "$PYTHON" -c 'import onnx, onnxruntime' 2>/dev/null; then
    export NISSL_PYTHON=$PYTHON
    run verify "$model" --runtime onnxruntime --inputs 3 --save made
    holds onnxruntime_agrees test "$code" = 0
    expect saved_reference_agrees 0 verify "$model" -r made
    error saved_reference_stays 1 "made exists already" verify "$model" --runtime onnxruntime --save made
else
    skip onnxruntime_agrees
fi
finish
