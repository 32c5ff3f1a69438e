/* oneDNN 2.6 behind Nissl's steps. */
#include <dnnl.h>
#include <omp.h>

#include "network/backend_dnnl.h"

#define MAX_ARGS 6

/* An argument of a primitive and where its memory comes from. */
typedef enum source { FROM_INPUT, FROM_OUTPUT, FROM_STATE, FROM_SCRATCH } source;

typedef struct argument {
    int id; /* DNNL_ARG_* */
    source from;
    int index;  /* of the step's input or output */
    void *data; /* FROM_STATE */
    dnnl_memory_desc_t desc;
} argument;

typedef struct primitive_state {
    dnnl_engine_t engine;
    dnnl_primitive_t primitive;
    int n_args;
    argument args[MAX_ARGS];
    void *weights; /* packed */
    void *bias;
    bool accumulate;
    bool serial; /* runs on one thread, whatever the run's */
} primitive_state;

typedef struct bound_primitive {
    dnnl_stream_t stream;
    int n_args;
    dnnl_exec_arg_t args[MAX_ARGS];
} bound_primitive;

static nissl_status failed(const nissl__compiler *c, nissl_error *err, const char *what,
                           dnnl_status_t status)
{
    if (status == dnnl_out_of_memory)
        return NISSL__NO_MEMORY(err, 0);
    return NISSL__NODE_FAIL(
        c, err, status == dnnl_unimplemented ? NISSL_ERR_UNSUPPORTED : NISSL_ERR_INTERNAL,
        "oneDNN %s failed with status %d", what, (int)status);
}

static void destroy_state(void *memory)
{
    primitive_state *state = memory;
    if (!state)
        return;
    if (state->primitive)
        dnnl_primitive_destroy(state->primitive);
    if (state->engine)
        dnnl_engine_destroy(state->engine);
    nissl__free(state->weights);
    nissl__free(state->bias);
    nissl__free(state);
}

static void unbind(void *memory)
{
    bound_primitive *bound = memory;
    for (int i = 0; i < bound->n_args; i++)
        dnnl_memory_destroy(bound->args[i].memory);
    if (bound->stream)
        dnnl_stream_destroy(bound->stream);
    nissl__free(bound);
}

static void *argument_data(const argument *arg, const nissl__call *call)
{
    switch (arg->from) {
    case FROM_INPUT: return call->in[arg->index]->data;
    case FROM_OUTPUT: return call->out[arg->index]->data;
    case FROM_SCRATCH: return call->scratch;
    default: return arg->data;
    }
}

static bool bind(const primitive_state *state, const nissl__call *call, void **out)
{
    bound_primitive *bound = nissl__alloc(1, sizeof *bound);
    if (!bound)
        return false;
    *out = bound;
    if (dnnl_stream_create(&bound->stream, state->engine, dnnl_stream_default_flags) !=
        dnnl_success)
        return false;
    for (int i = 0; i < state->n_args; i++) {
        const argument *arg = &state->args[i];
        bound->args[i].arg = arg->id;
        if (dnnl_memory_create(&bound->args[i].memory, &arg->desc, state->engine,
                               argument_data(arg, call)) != dnnl_success)
            return false;
        bound->n_args++;
    }
    return true;
}

static nissl_status execute(const nissl__step *step, nissl__call *call, nissl_error *err)
{
    const primitive_state *state = step->state;
    dnnl_status_t status = dnnl_success;
    if (!*call->bound && !bind(state, call, call->bound))
        return NISSL__FAIL(err, NISSL_ERR_MEMORY, "out of memory binding a %s step", step->kind);
    bound_primitive *bound = *call->bound;
    for (int i = 0; i < state->n_args && status == dnnl_success; i++)
        if (state->args[i].from == FROM_INPUT || state->args[i].from == FROM_OUTPUT)
            status = dnnl_memory_set_data_handle(bound->args[i].memory,
                                                 argument_data(&state->args[i], call));
    if (state->accumulate && call->in[step->overwrite]->data != call->out[0]->data)
        nissl__copy_view(call->in[step->overwrite], call->out[0], call->threads);
    if (state->serial)
        omp_set_num_threads(1);
    if (status == dnnl_success)
        status =
            dnnl_primitive_execute(state->primitive, bound->stream, bound->n_args, bound->args);
    if (status == dnnl_success)
        status = dnnl_stream_wait(bound->stream);
    if (state->serial)
        omp_set_num_threads(call->threads);
    if (status != dnnl_success)
        return NISSL__FAIL(err, NISSL_ERR_INTERNAL, "oneDNN %s failed with status %d", step->kind,
                           (int)status);
    return NISSL_OK;
}

static dnnl_status_t make_attributes(const nissl__epilogue *epilogue, dnnl_primitive_attr_t *out)
{
    dnnl_post_ops_t ops = NULL;
    dnnl_status_t status = dnnl_primitive_attr_create(out);
    if (status == dnnl_success)
        status = dnnl_primitive_attr_set_scratchpad_mode(*out, dnnl_scratchpad_mode_user);
    if (status == dnnl_success)
        status = dnnl_post_ops_create(&ops);
    if (status == dnnl_success && epilogue->accumulate)
        status = dnnl_post_ops_append_sum(ops, 1.0f);
    if (status == dnnl_success && epilogue->activation != NISSL__ACT_NONE)
        status = dnnl_post_ops_append_eltwise(
            ops, 1.0f,
            epilogue->activation == NISSL__ACT_RELU ? dnnl_eltwise_relu : dnnl_eltwise_clip,
            epilogue->alpha, epilogue->beta);
    if (status == dnnl_success)
        status = dnnl_primitive_attr_set_post_ops(*out, ops);
    if (ops)
        dnnl_post_ops_destroy(ops);
    return status;
}

static void add_argument(primitive_state *state, int id, source from, int index, void *data,
                         const dnnl_memory_desc_t *desc)
{
    state->args[state->n_args++] = (argument){id, from, index, data, *desc};
}

/* Reorders weights from the file's order into the one the primitive wants. */
static nissl_status pack(const nissl__compiler *c, primitive_state *state,
                         const dnnl_memory_desc_t *from, const float *weights,
                         const dnnl_memory_desc_t *to, size_t *bytes, nissl_error *err)
{
    nissl_status result = NISSL_OK;
    dnnl_primitive_desc_t desc = NULL;
    dnnl_primitive_t reorder = NULL;
    dnnl_stream_t stream = NULL;
    dnnl_memory_t source_memory = NULL, target = NULL;
    void *data;
    memcpy(&data, &weights, sizeof data); /* oneDNN reads it only */
    *bytes = dnnl_memory_desc_get_size(to);
    if (!(state->weights = nissl__alloc(*bytes, 1)))
        return NISSL__NO_MEMORY(err, *bytes);
    dnnl_status_t status =
        dnnl_reorder_primitive_desc_create(&desc, from, state->engine, to, state->engine, NULL);
    if (status == dnnl_success)
        status = dnnl_primitive_create(&reorder, desc);
    if (status == dnnl_success)
        status = dnnl_stream_create(&stream, state->engine, dnnl_stream_default_flags);
    if (status == dnnl_success)
        status = dnnl_memory_create(&source_memory, from, state->engine, data);
    if (status == dnnl_success)
        status = dnnl_memory_create(&target, to, state->engine, state->weights);
    if (status == dnnl_success) {
        dnnl_exec_arg_t args[2] = {{DNNL_ARG_FROM, source_memory}, {DNNL_ARG_TO, target}};
        status = dnnl_primitive_execute(reorder, stream, 2, args);
    }
    if (status == dnnl_success)
        status = dnnl_stream_wait(stream);
    if (status != dnnl_success)
        result = failed(c, err, "weight packing", status);
    if (source_memory)
        dnnl_memory_destroy(source_memory);
    if (target)
        dnnl_memory_destroy(target);
    if (stream)
        dnnl_stream_destroy(stream);
    if (reorder)
        dnnl_primitive_destroy(reorder);
    if (desc)
        dnnl_primitive_desc_destroy(desc);
    return result;
}

static nissl_status keep_bias(primitive_state *state, const float *bias, int64_t n,
                              nissl_error *err)
{
    if (!bias)
        return NISSL_OK;
    if (!(state->bias = nissl__alloc((size_t)n, sizeof *bias)))
        return NISSL__NO_MEMORY(err, (size_t)n * sizeof *bias);
    memcpy(state->bias, bias, (size_t)n * sizeof *bias);
    return NISSL_OK;
}

/* Everything after the operation descriptor: the primitive, its arguments, the step. */
static nissl_status finish(nissl__compiler *c, nissl__step *step, primitive_state *state,
                           const void *op_desc, const nissl__epilogue *epilogue,
                           const dnnl_memory_desc_t *plain_weights, const float *weights,
                           int64_t n_bias, const float *bias, bool refuse_reference, bool *good,
                           nissl_error *err)
{
    nissl_status result = NISSL_OK;
    dnnl_primitive_attr_t attributes = NULL;
    dnnl_primitive_desc_t desc = NULL;
    const char *implementation = "";
    size_t weight_bytes = 0;
    *good = false;
    dnnl_status_t status = make_attributes(epilogue, &attributes);
    if (status == dnnl_success)
        status = dnnl_primitive_desc_create(&desc, op_desc, attributes, state->engine, NULL);
    if (status == dnnl_unimplemented && refuse_reference)
        goto done;
    if (status != dnnl_success) {
        result = failed(c, err, step->kind, status);
        goto done;
    }
    dnnl_primitive_desc_query(desc, dnnl_query_impl_info_str, 0, &implementation);
    if (refuse_reference && strncmp(implementation, "ref", 3) == 0)
        goto done;
    if ((status = dnnl_primitive_create(&state->primitive, desc)) != dnnl_success) {
        result = failed(c, err, step->kind, status);
        goto done;
    }
    add_argument(state, DNNL_ARG_SRC, FROM_INPUT, 0, NULL,
                 dnnl_primitive_desc_query_md(desc, dnnl_query_src_md, 0));
    add_argument(state, DNNL_ARG_DST, FROM_OUTPUT, 0, NULL,
                 dnnl_primitive_desc_query_md(desc, dnnl_query_dst_md, 0));
    const dnnl_memory_desc_t *packed = dnnl_primitive_desc_query_md(desc, dnnl_query_weights_md, 0);
    if (weights) {
        result = pack(c, state, plain_weights, weights, packed, &weight_bytes, err);
        if (result == NISSL_OK)
            result = keep_bias(state, bias, n_bias, err);
        if (result != NISSL_OK)
            goto done;
        add_argument(state, DNNL_ARG_WEIGHTS, FROM_STATE, 0, state->weights, packed);
    } else {
        add_argument(state, DNNL_ARG_WEIGHTS, FROM_INPUT, 1, NULL, packed);
    }
    if (bias)
        add_argument(state, DNNL_ARG_BIAS, FROM_STATE, 0, state->bias,
                     dnnl_primitive_desc_query_md(desc, dnnl_query_weights_md, 1));
    const dnnl_memory_desc_t *scratch =
        dnnl_primitive_desc_query_md(desc, dnnl_query_scratchpad_md, 0);
    step->scratch_bytes = dnnl_memory_desc_get_size(scratch);
    if (step->scratch_bytes)
        add_argument(state, DNNL_ARG_SCRATCHPAD, FROM_SCRATCH, 0, NULL, scratch);
    state->accumulate = epilogue->accumulate;
    step->weight_bytes = weight_bytes + (bias ? (size_t)n_bias * sizeof *bias : 0);
    step->execute = execute;
    step->destroy = destroy_state;
    step->unbind = unbind;
    step->state = state;
    *good = true;
done:
    if (desc)
        dnnl_primitive_desc_destroy(desc);
    if (attributes)
        dnnl_primitive_attr_destroy(attributes);
    if (result != NISSL_OK || !*good)
        destroy_state(state);
    return result;
}

static nissl_status new_state(nissl__compiler *c, primitive_state **out, nissl_error *err)
{
    primitive_state *state = nissl__alloc(1, sizeof *state);
    if (!state)
        return NISSL__NO_MEMORY(err, sizeof *state);
    dnnl_status_t status = dnnl_engine_create(&state->engine, dnnl_cpu, 0);
    if (status != dnnl_success) {
        nissl__free(state);
        return failed(c, err, "engine", status);
    }
    *out = state;
    return NISSL_OK;
}

/* A channels-last tensor [n, channels, spatial...] whose pixels lie `pixel` elements apart. */
static dnnl_status_t pixels(dnnl_memory_desc_t *desc, int n_spatial, int64_t n, int64_t channels,
                            const int64_t *size, int64_t pixel)
{
    dnnl_dims_t dims = {n, channels}, strides = {0, 1};
    int64_t step = pixel;
    for (int i = n_spatial - 1; i >= 0; i--) {
        dims[2 + i] = size[i];
        strides[2 + i] = step;
        step *= size[i];
    }
    strides[0] = step;
    return dnnl_memory_desc_init_by_strides(desc, 2 + n_spatial, dims, dnnl_f32, strides);
}

nissl_status nissl__dnnl_conv(nissl__compiler *c, nissl__step *step, const nissl__conv_spec *spec,
                              bool *good, nissl_error *err)
{
    primitive_state *state = NULL;
    dnnl_memory_desc_t src, dst, weights, plain, bias;
    dnnl_convolution_desc_t op;
    dnnl_deconvolution_desc_t reverse;
    dnnl_dims_t dims = {0}, strides = {0}, dilation = {0}, begin = {0}, end = {0},
                weight_strides = {0};
    int n = spec->n_spatial, at = 0;
    nissl_status result = new_state(c, &state, err);
    if (result != NISSL_OK)
        return result;
    if (spec->groups > 1)
        dims[at++] = spec->groups;
    dims[at++] = spec->out_channels / spec->groups;
    dims[at++] = spec->in_channels / spec->groups;
    for (int i = 0; i < n; i++) {
        dims[at++] = spec->kernel[i];
        strides[i] = spec->stride[i];
        dilation[i] = spec->dilation[i] - 1;
        begin[i] = spec->pad_begin[i];
        end[i] = spec->pad_end[i];
    }
    int64_t stride = 1;
    for (int i = at - 1; i >= 0; i--) {
        weight_strides[i] = stride;
        stride *= dims[i];
    }
    if (spec->transposed) { /* the file has input channels outermost */
        int o = spec->groups > 1;
        int64_t taps = weight_strides[o + 1];
        weight_strides[o] = taps;
        weight_strides[o + 1] = taps * dims[o];
    }
    dnnl_status_t status =
        pixels(&src, n, spec->batch, spec->in_channels, spec->in, spec->in_pixel);
    if (status == dnnl_success)
        status = pixels(&dst, n, spec->batch, spec->out_channels, spec->out, spec->out_pixel);
    if (status == dnnl_success)
        status = dnnl_memory_desc_init_by_tag(&weights, at, dims, dnnl_f32, dnnl_format_tag_any);
    if (status == dnnl_success)
        status = dnnl_memory_desc_init_by_strides(&plain, at, dims, dnnl_f32, weight_strides);
    if (status == dnnl_success)
        status = dnnl_memory_desc_init_by_tag(&bias, 1, (dnnl_dims_t){spec->out_channels}, dnnl_f32,
                                              dnnl_a);
    if (status == dnnl_success && spec->transposed)
        status = dnnl_dilated_deconvolution_forward_desc_init(
            &reverse, dnnl_forward_inference, dnnl_deconvolution_direct, &src, &weights,
            spec->bias ? &bias : NULL, &dst, strides, dilation, begin, end);
    else if (status == dnnl_success)
        status = dnnl_dilated_convolution_forward_desc_init(
            &op, dnnl_forward_inference, dnnl_convolution_direct, &src, &weights,
            spec->bias ? &bias : NULL, &dst, strides, dilation, begin, end);
    if (status != dnnl_success) {
        destroy_state(state);
        return failed(c, err, "convolution description", status);
    }
    const void *description = spec->transposed ? (const void *)&reverse : (const void *)&op;
    return finish(c, step, state, description, &spec->epilogue, &plain, spec->weight,
                  spec->out_channels, spec->bias, true, good, err);
}

static dnnl_status_t strided(dnnl_memory_desc_t *desc, int rank, const int64_t *shape,
                             const int64_t *stride)
{
    dnnl_dims_t dims = {0}, strides = {0};
    memcpy(dims, shape, (size_t)rank * sizeof *shape);
    memcpy(strides, stride, (size_t)rank * sizeof *stride);
    return dnnl_memory_desc_init_by_strides(desc, rank, dims, dnnl_f32, strides);
}

/* Without AVX-512 oneDNN's products depend on the number of threads in their last bits (measured),
 * so they run on one. */
static bool products_depend_on_threads(void)
{
    return (dnnl_get_effective_cpu_isa() & dnnl_cpu_isa_avx512_core) != dnnl_cpu_isa_avx512_core;
}

nissl_status nissl__dnnl_matmul(nissl__compiler *c, nissl__step *step,
                                const nissl__matmul_spec *spec, nissl_error *err)
{
    primitive_state *state = NULL;
    dnnl_memory_desc_t a, b, plain = {0}, out, bias;
    dnnl_matmul_desc_t op;
    dnnl_dims_t bias_dims = {0}, bias_strides = {0};
    bool good = false;
    int64_t columns = spec->out_shape[spec->rank - 1];
    nissl_status result = new_state(c, &state, err);
    if (result != NISSL_OK)
        return result;
    for (int i = 0; i < spec->rank; i++) {
        bias_dims[i] = i == spec->rank - 1 ? columns : 1;
        bias_strides[i] = i == spec->rank - 1 ? 1 : columns;
    }
    dnnl_status_t status = strided(&a, spec->rank, spec->a_shape, spec->a_stride);
    if (status == dnnl_success)
        status = strided(&plain, spec->rank, spec->b_shape, spec->b_stride);
    b = plain;
    if (status == dnnl_success && spec->b)
        status =
            dnnl_memory_desc_init_by_tag(&b, spec->rank, plain.dims, dnnl_f32, dnnl_format_tag_any);
    if (status == dnnl_success)
        status = strided(&out, spec->rank, spec->out_shape, spec->out_stride);
    if (status == dnnl_success)
        status =
            dnnl_memory_desc_init_by_strides(&bias, spec->rank, bias_dims, dnnl_f32, bias_strides);
    if (status == dnnl_success)
        status = dnnl_matmul_desc_init(&op, &a, &b, spec->bias ? &bias : NULL, &out);
    if (status != dnnl_success) {
        destroy_state(state);
        return failed(c, err, "matmul description", status);
    }
    state->serial = products_depend_on_threads();
    if (state->serial)
        omp_set_num_threads(1); /* the division of work is made with the primitive */
    result = finish(c, step, state, &op, &spec->epilogue, &plain, spec->b, columns, spec->bias,
                    false, &good, err);
    omp_set_num_threads(c->threads);
    return result;
}

static nissl_status sgemm(char b_order, int64_t m, int64_t n, int64_t k, const float *a,
                          int64_t lda, const float *b, int64_t ldb, float beta, float *c,
                          int64_t ldc, nissl_error *err)
{
    dnnl_status_t status = dnnl_sgemm('N', b_order, m, n, k, 1.0f, a, lda, b, ldb, beta, c, ldc);
    if (status != dnnl_success)
        return NISSL__FAIL(err, NISSL_ERR_INTERNAL, "oneDNN sgemm failed with status %d",
                           (int)status);
    return NISSL_OK;
}

nissl_status nissl__dnnl_sgemm(int64_t m, int64_t n, int64_t k, const float *a, const float *b,
                               bool b_transposed, bool add, float *c, nissl_error *err)
{
    return sgemm(b_transposed ? 'T' : 'N', m, n, k, a, k, b, b_transposed ? k : n,
                 add ? 1.0f : 0.0f, c, n, err);
}

nissl_status nissl__dnnl_sgemm_strided(int64_t m, int64_t n, int64_t k, const float *a, int64_t lda,
                                       const float *b, int64_t ldb, bool b_transposed, float *c,
                                       int64_t ldc, nissl_error *err)
{
    return sgemm(b_transposed ? 'T' : 'N', m, n, k, a, lda, b, ldb, 0.0f, c, ldc, err);
}

int nissl__thread_number(void)
{
    return omp_get_thread_num();
}
