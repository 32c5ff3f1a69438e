/*
 * LSTM, GRU and RNN as ONNX defines them: gates in the file's order, one or two directions,
 * optional lengths, initial state and peepholes. The input's part of all steps is one matrix
 * product; the recurrent part is one a step.
 */
#include "network/operators/operators.h"

typedef enum recurrent_kind { RECURRENT_LSTM, RECURRENT_GRU, RECURRENT_RNN } recurrent_kind;

typedef float (*activation)(float x, float alpha, float beta);

static float a_sigmoid(float x, float a, float b)
{
    return 1.0f / (1.0f + expf(-x));
}

static float a_tanh(float x, float a, float b)
{
    return tanhf(x);
}

static float a_relu(float x, float a, float b)
{
    return x < 0 ? 0 : x;
}

static float a_affine(float x, float a, float b)
{
    return a * x + b;
}

static float a_leaky(float x, float a, float b)
{
    return x < 0 ? a * x : x;
}

static float a_thresholded(float x, float a, float b)
{
    return x > a ? x : 0;
}

static float a_scaled_tanh(float x, float a, float b)
{
    return a * tanhf(b * x);
}

static float a_hard_sigmoid(float x, float a, float b)
{
    return fmaxf(0, fminf(1, a * x + b));
}

static float a_elu(float x, float a, float b)
{
    return x < 0 ? a * expm1f(x) : x;
}

static float a_softsign(float x, float a, float b)
{
    return x / (1 + fabsf(x));
}

static float a_softplus(float x, float a, float b)
{
    return fmaxf(x, 0) + log1pf(expf(-fabsf(x)));
}

static const struct {
    const char *name;
    activation function;
    float alpha, beta;
} activations[] = {
    {"Sigmoid", a_sigmoid, 0, 0},
    {"Tanh", a_tanh, 0, 0},
    {"Relu", a_relu, 0, 0},
    {"Affine", a_affine, 1, 0},
    {"LeakyRelu", a_leaky, 0.01f, 0},
    {"ThresholdedRelu", a_thresholded, 1, 0},
    {"ScaledTanh", a_scaled_tanh, 1, 1},
    {"HardSigmoid", a_hard_sigmoid, 0.2f, 0.5f},
    {"Elu", a_elu, 1, 0},
    {"Softsign", a_softsign, 0, 0},
    {"Softplus", a_softplus, 0, 0},
};

typedef struct chosen_activation {
    activation function;
    float alpha, beta;
} chosen_activation;

typedef struct recurrent_state {
    recurrent_kind kind;
    int n_directions, n_gates;
    bool backward;     /* of a single direction */
    bool batch_first;  /* layout = 1 */
    bool input_forget; /* LSTM: the forget gate is one minus the input gate */
    bool reset_after;  /* GRU: linear_before_reset */
    float clip;        /* 0 = none */
    int64_t steps, batch, inputs, hidden;
    chosen_activation f[6];
} recurrent_state;

static int gates_of(const char *op)
{
    return strcmp(op, "LSTM") == 0 ? 4 : strcmp(op, "GRU") == 0 ? 3 : 1;
}

static nissl_status infer_recurrent(nissl__compiler *c, const nissl__node *node, nissl_error *err)
{
    const nissl__value *x = nissl__in(c, node, 0), *w = nissl__in(c, node, 1),
                       *r = nissl__in(c, node, 2);
    bool batch_first = nissl__attr_int(node, "layout", 0) != 0;
    int gates = gates_of(node->onnx->op);
    nissl_status status;
    for (int i = 0; i < node->n_inputs; i++) {
        const nissl__value *in = nissl__in(c, node, i);
        if (in && in->type != (i == 4 ? NISSL_INT32 : NISSL_FLOAT32))
            return NISSL__NODE_FAIL(c, err, NISSL_ERR_TYPE, "input %d is %s", i,
                                    nissl_type_name(in->type));
    }
    if (x->rank != 3 || w->rank != 3 || r->rank != 3)
        return NISSL__NODE_FAIL(c, err, NISSL_ERR_SHAPE,
                                "operands have ranks %d, %d, %d, expected 3", x->rank, w->rank,
                                r->rank);
    int64_t directions = w->shape[0], hidden = r->shape[2];
    int64_t steps = x->shape[batch_first], batch = x->shape[!batch_first];
    bool both = strcmp(nissl__attr_string(node, "direction", "forward"), "bidirectional") == 0;
    if (directions != (both ? 2 : 1) || r->shape[0] != directions ||
        w->shape[1] != gates * hidden || r->shape[1] != gates * hidden ||
        w->shape[2] != x->shape[2])
        return NISSL__NODE_FAIL(c, err, NISSL_ERR_SHAPE,
                                "weights [%lld, %lld, %lld] and [%lld, %lld, %lld] for %lld inputs",
                                (long long)w->shape[0], (long long)w->shape[1],
                                (long long)w->shape[2], (long long)r->shape[0],
                                (long long)r->shape[1], (long long)r->shape[2],
                                (long long)x->shape[2]);
    static const struct {
        int input, per_hidden;
        const char *what;
    } rest[] = {{3, 2, "bias"}, {7, 3, "peepholes"}};
    for (int i = 0; i < 2; i++) {
        const nissl__value *v = nissl__in(c, node, rest[i].input);
        int64_t n = rest[i].input == 3 ? 2 * gates * hidden : 3 * hidden;
        if (v && (v->rank != 2 || v->shape[0] != directions || v->shape[1] != n))
            return NISSL__NODE_FAIL(c, err, NISSL_ERR_SHAPE, "%s has %lld entries, expected %lld",
                                    rest[i].what, (long long)(v->rank == 2 ? v->shape[1] : 0),
                                    (long long)n);
    }
    for (int i = 5; i <= 6; i++) {
        const nissl__value *v = nissl__in(c, node, i);
        if (v && (v->rank != 3 || v->shape[batch_first] != directions ||
                  v->shape[!batch_first] != batch || v->shape[2] != hidden))
            return NISSL__NODE_FAIL(c, err, NISSL_ERR_SHAPE,
                                    "the initial state does not fit %lld x %lld x %lld",
                                    (long long)directions, (long long)batch, (long long)hidden);
    }
    const nissl__value *lengths = nissl__in(c, node, 4);
    if (lengths && (lengths->rank != 1 || lengths->shape[0] != batch))
        return NISSL__NODE_FAIL(c, err, NISSL_ERR_SHAPE, "lengths do not fit a batch of %lld",
                                (long long)batch);
    int64_t whole[4] = {steps, directions, batch, hidden}, last[3] = {directions, batch, hidden};
    if (batch_first) {
        memcpy(whole, (int64_t[]){batch, steps, directions, hidden}, sizeof whole);
        memcpy(last, (int64_t[]){batch, directions, hidden}, sizeof last);
    }
    if ((status = nissl__set_shape(c, nissl__out(c, node, 0), NISSL_FLOAT32, 4, whole, err)) !=
        NISSL_OK)
        return status;
    for (int i = 1; i < node->n_outputs; i++)
        if ((status = nissl__set_shape(c, nissl__out(c, node, i), NISSL_FLOAT32, 3, last, err)) !=
            NISSL_OK)
            return status;
    return NISSL_OK;
}

static float clipped(const recurrent_state *s, float x)
{
    return s->clip > 0 ? fmaxf(-s->clip, fminf(s->clip, x)) : x;
}

static float apply(const recurrent_state *s, const chosen_activation *f, float x)
{
    return f->function(clipped(s, x), f->alpha, f->beta);
}

/* One step of one stimulus from its gates [n_gates, hidden] (input and bias parts added), h and c
 * [hidden]. */
static void lstm_cell(const recurrent_state *s, const chosen_activation *f, const float *g,
                      const float *p, float *h, float *c)
{
    int64_t n = s->hidden;
    for (int64_t i = 0; i < n; i++) {
        float in = apply(s, &f[0], g[i] + (p ? p[i] * c[i] : 0));
        float forget = s->input_forget
                           ? 1 - in
                           : apply(s, &f[0], g[2 * n + i] + (p ? p[2 * n + i] * c[i] : 0));
        float candidate = apply(s, &f[1], g[3 * n + i]);
        float cell = forget * c[i] + in * candidate;
        float out = apply(s, &f[0], g[n + i] + (p ? p[n + i] * cell : 0));
        c[i] = cell;
        h[i] = out * f[2].function(cell, f[2].alpha, f[2].beta);
    }
}

typedef struct direction {
    const float *w, *r, *b, *p; /* of this direction */
    const chosen_activation *f;
    bool backward;
    int index;
} direction;

typedef struct recurrent_views {
    const nissl_view *x, *lengths;
    float *gates;  /* [steps, batch, n_gates * hidden] input part */
    float *moving; /* [batch, n_gates * hidden] */
    float *h, *c;  /* [batch, hidden] */
    nissl_view *y;
} recurrent_views;

/* GRU gates in the order update, reset, hidden. moving holds R h (and its bias); gates the input's
 * part. */
static nissl_status gru_step(const recurrent_state *s, const direction *d, const recurrent_views *v,
                             const float *gates, nissl_error *err)
{
    int64_t n = s->hidden, n_gates = 3 * n;
    nissl_status status = NISSL_OK;
    const float *rb = d->b ? d->b + n_gates : NULL;
    if ((status = nissl__dnnl_sgemm(s->batch, s->reset_after ? n_gates : 2 * n, n, v->h, d->r, true,
                                    false, v->moving, err)) != NISSL_OK)
        return status;
    int64_t row = s->reset_after ? n_gates : 2 * n;
    float *reset_h = v->moving + s->batch * n_gates; /* [batch, hidden] */
    float *linear = reset_h + s->batch * n;
    for (int64_t k = 0; k < s->batch; k++)
        for (int64_t i = 0; i < n; i++) {
            float reset = apply(s, &d->f[0],
                                gates[k * n_gates + n + i] + v->moving[k * row + n + i] +
                                    (rb ? rb[n + i] : 0));
            reset_h[k * n + i] = s->reset_after ? reset : reset * v->h[k * n + i];
        }
    if (!s->reset_after && (status = nissl__dnnl_sgemm(s->batch, n, n, reset_h, d->r + 2 * n * n,
                                                       true, false, linear, err)) != NISSL_OK)
        return status;
    for (int64_t k = 0; k < s->batch; k++)
        for (int64_t i = 0; i < n; i++) {
            float update = apply(
                s, &d->f[0], gates[k * n_gates + i] + v->moving[k * row + i] + (rb ? rb[i] : 0));
            float bias = rb ? rb[2 * n + i] : 0;
            float moved = s->reset_after
                              ? reset_h[k * n + i] * (v->moving[k * row + 2 * n + i] + bias)
                              : linear[k * n + i] + bias;
            float candidate = apply(s, &d->f[1], gates[k * n_gates + 2 * n + i] + moved);
            linear[k * n + i] = (1 - update) * candidate + update * v->h[k * n + i];
        }
    memcpy(v->moving, linear,
           (size_t)(s->batch * n) * sizeof *linear); /* the new h, first in moving */
    return NISSL_OK;
}

static nissl_status other_step(const recurrent_state *s, const direction *d,
                               const recurrent_views *v, const float *gates, int64_t step,
                               const int32_t *lengths, nissl_error *err)
{
    int64_t n = s->hidden, n_gates = s->n_gates * n;
    nissl_status status =
        nissl__dnnl_sgemm(s->batch, n_gates, n, v->h, d->r, true, false, v->moving, err);
    const float *rb = d->b ? d->b + n_gates : NULL;
    for (int64_t k = 0; k < s->batch && status == NISSL_OK; k++) {
        float *g = v->moving + k * n_gates;
        if (lengths && step >= lengths[k])
            continue;
        for (int64_t i = 0; i < n_gates; i++)
            g[i] += gates[k * n_gates + i] + (rb ? rb[i] : 0);
        if (s->kind == RECURRENT_LSTM)
            lstm_cell(s, d->f, g, d->p, v->h + k * n, v->c + k * n);
        else
            for (int64_t i = 0; i < n; i++)
                v->h[k * n + i] = apply(s, &d->f[0], g[i]);
    }
    return status;
}

static nissl_status run_direction(const recurrent_state *s, const direction *d,
                                  const recurrent_views *v, nissl_error *err)
{
    int64_t n = s->hidden, n_gates = s->n_gates * n;
    const int32_t *lengths = v->lengths ? v->lengths->data : NULL;
    nissl_status status = nissl__dnnl_sgemm(s->steps * s->batch, n_gates, s->inputs, v->x->data,
                                            d->w, true, false, v->gates, err);
    for (int64_t i = 0; i < s->steps * s->batch * n_gates && d->b && status == NISSL_OK; i++)
        v->gates[i] += d->b[i % n_gates];
    for (int64_t t = 0; t < s->steps && status == NISSL_OK; t++) {
        /* backwards, a stimulus begins at its own last step */
        int64_t step = d->backward ? s->steps - 1 - t : t;
        const float *gates = v->gates + step * s->batch * n_gates;
        if (s->kind == RECURRENT_GRU) {
            if ((status = gru_step(s, d, v, gates, err)) != NISSL_OK)
                return status;
            for (int64_t k = 0; k < s->batch; k++)
                if (!lengths || step < lengths[k])
                    memcpy(v->h + k * n, v->moving + k * n, (size_t)n * sizeof *v->h);
        } else if ((status = other_step(s, d, v, gates, step, lengths, err)) != NISSL_OK) {
            return status;
        }
        for (int64_t k = 0; k < s->batch && v->y; k++) {
            bool past = lengths && step >= lengths[k];
            const int64_t *st = v->y->stride;
            int64_t at = s->batch_first ? k * st[0] + step * st[1] + d->index * st[2]
                                        : step * st[0] + d->index * st[1] + k * st[2];
            for (int64_t i = 0; i < n; i++)
                ((float *)v->y->data)[at + i * st[3]] = past ? 0 : v->h[k * n + i];
        }
    }
    return status;
}

static void last_state(const recurrent_state *s, const nissl_view *view, int index,
                       const float *from)
{
    for (int64_t k = 0; k < s->batch && view; k++) {
        int64_t at = s->batch_first ? k * view->stride[0] + index * view->stride[1]
                                    : index * view->stride[0] + k * view->stride[1];
        for (int64_t i = 0; i < s->hidden; i++)
            ((float *)view->data)[at + i * view->stride[2]] = from[k * s->hidden + i];
    }
}

static void first_state(const recurrent_state *s, const nissl_view *view, int index, float *to)
{
    memset(to, 0, (size_t)(s->batch * s->hidden) * sizeof *to);
    for (int64_t k = 0; k < s->batch && view; k++) {
        int64_t at = s->batch_first ? k * view->stride[0] + index * view->stride[1]
                                    : index * view->stride[0] + k * view->stride[1];
        for (int64_t i = 0; i < s->hidden; i++)
            to[k * s->hidden + i] = ((const float *)view->data)[at + i * view->stride[2]];
    }
}

static nissl_status execute_recurrent(const nissl__step *step, nissl__call *call, nissl_error *err)
{
    const recurrent_state *s = step->state;
    int64_t n = s->hidden, n_gates = s->n_gates * n;
    nissl_view x = *call->in[0];
    recurrent_views v = {&x, call->in[4], NULL, NULL, NULL, NULL, call->out[0]};
    v.gates = call->scratch;
    v.moving = v.gates + s->steps * s->batch * n_gates;
    v.h = v.moving + s->batch * (n_gates + 2 * n);
    v.c = v.h + s->batch * n;
    if (s->batch_first) { /* steps outermost, as the cells walk */
        float *turned = v.c + s->batch * n;
        nissl_view from = x, to = nissl_view_of(turned, NISSL_FLOAT32, 3,
                                                (int64_t[]){s->steps, s->batch, s->inputs});
        memcpy(from.shape, to.shape, 3 * sizeof *to.shape);
        from.stride[0] = x.stride[1];
        from.stride[1] = x.stride[0];
        nissl__copy_view(&from, &to, 1);
        x = to;
    }
    for (int i = 0; i < s->n_directions; i++) {
        direction d = {
            .w = (const float *)call->in[1]->data + i * n_gates * s->inputs,
            .r = (const float *)call->in[2]->data + i * n_gates * n,
            .b = call->in[3] ? (const float *)call->in[3]->data + i * 2 * n_gates : NULL,
            .p = call->in[7] ? (const float *)call->in[7]->data + i * 3 * n : NULL,
            .f = s->f + 3 * i,
            .backward = i == 1 || s->backward,
            .index = i,
        };
        first_state(s, call->in[5], i, v.h);
        first_state(s, call->in[6], i, v.c);
        nissl_status status = run_direction(s, &d, &v, err);
        if (status != NISSL_OK)
            return status;
        last_state(s, call->out[1], i, v.h);
        last_state(s, call->out[2], i, v.c);
    }
    return NISSL_OK;
}

static nissl_status choose_activations(nissl__compiler *c, const nissl__node *node,
                                       recurrent_state *s, nissl_error *err)
{
    static const char *const defaults[3][3] = {
        {"Sigmoid", "Tanh", "Tanh"}, {"Sigmoid", "Tanh", NULL}, {"Tanh", NULL, NULL}};
    const nissl__onnx_attribute *names = nissl__attribute(node, "activations");
    const nissl__onnx_attribute *alphas = nissl__attribute(node, "activation_alpha");
    const nissl__onnx_attribute *betas = nissl__attribute(node, "activation_beta");
    int per = s->kind == RECURRENT_LSTM ? 3 : s->kind == RECURRENT_GRU ? 2 : 1, n = 0;
    size_t at_alpha = 0, at_beta = 0;
    for (int i = 0; i < s->n_directions; i++)
        for (int j = 0; j < per; j++, n++) {
            bool given = names && names->kind == NISSL__ONNX_STRINGS && (size_t)n < names->n;
            const char *name = given ? names->strings[n] : defaults[s->kind][j];
            size_t k = 0;
            while (k < sizeof activations / sizeof *activations &&
                   strcasecmp(activations[k].name, name) != 0)
                k++;
            if (k == sizeof activations / sizeof *activations)
                return NISSL__NODE_FAIL(c, err, NISSL_ERR_UNSUPPORTED, "activation %s", name);
            chosen_activation *f = &s->f[3 * i + j];
            *f = (chosen_activation){activations[k].function, activations[k].alpha,
                                     activations[k].beta};
            bool takes_alpha = k >= 3 && k <= 8, takes_beta = k == 3 || k == 6 || k == 7;
            if (takes_alpha && alphas && alphas->kind == NISSL__ONNX_FLOATS && at_alpha < alphas->n)
                f->alpha = alphas->floats[at_alpha++];
            if (takes_beta && betas && betas->kind == NISSL__ONNX_FLOATS && at_beta < betas->n)
                f->beta = betas->floats[at_beta++];
        }
    return NISSL_OK;
}

static nissl_status lower_recurrent(nissl__compiler *c, const nissl__node *node, nissl_error *err)
{
    int inputs[8] = {-1, -1, -1, -1, -1, -1, -1, -1}, outputs[3] = {-1, -1, -1};
    const char *op = node->onnx->op;
    recurrent_state state = {
        .kind = strcmp(op, "LSTM") == 0  ? RECURRENT_LSTM
                : strcmp(op, "GRU") == 0 ? RECURRENT_GRU
                                         : RECURRENT_RNN,
        .n_gates = gates_of(op),
        .backward = strcmp(nissl__attr_string(node, "direction", "forward"), "reverse") == 0,
        .batch_first = nissl__attr_int(node, "layout", 0) != 0,
        .input_forget = nissl__attr_int(node, "input_forget", 0) != 0,
        .reset_after = nissl__attr_int(node, "linear_before_reset", 0) != 0,
        .clip = nissl__attr_float(node, "clip", 0),
    };
    nissl_status status;
    for (int i = 0; i < node->n_inputs; i++)
        if (node->inputs[i] >= 0 &&
            (status = nissl__dense(c, node->inputs[i], NISSL__PLAIN, &inputs[i], err)) != NISSL_OK)
            return status;
    for (int i = 0; i < node->n_outputs; i++) {
        nissl__value *out = nissl__out(c, node, i);
        if (!out || (!out->needed && !c->folding))
            continue;
        nissl__place(c, out);
        outputs[i] = node->outputs[i];
    }
    const nissl__value *x = &c->values[inputs[0]];
    state.n_directions = (int)c->values[inputs[1]].shape[0];
    state.steps = x->shape[state.batch_first];
    state.batch = x->shape[!state.batch_first];
    state.inputs = x->shape[2];
    state.hidden = c->values[inputs[2]].shape[2];
    if ((status = choose_activations(c, node, &state, err)) != NISSL_OK)
        return status;
    nissl__step *step = nissl__add_step(c, "recurrent", 8, inputs, 3, outputs, sizeof state);
    if (!step)
        return NISSL__NO_MEMORY(err, sizeof state);
    *(recurrent_state *)step->state = state;
    step->execute = execute_recurrent;
    step->scratch_bytes =
        (size_t)(state.steps * state.batch * state.n_gates * state.hidden +
                 state.batch * (state.n_gates + 4) * state.hidden +
                 (state.batch_first ? state.steps * state.batch * state.inputs : 0)) *
        sizeof(float);
    return NISSL_OK;
}

const nissl__operator nissl__operators_recurrent[] = {
    {"LSTM", 3, 8, infer_recurrent, lower_recurrent, .follows = false},
    {"GRU", 3, 6, infer_recurrent, lower_recurrent, .follows = false},
    {"RNN", 3, 6, infer_recurrent, lower_recurrent, .follows = false},
    {0},
};
