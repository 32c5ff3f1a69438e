/* Numbers that bear out what a block was taken for. */
#include "network/families/recognise.h"

#define CLOSE 2e-4 /* of the range: float32 through a few sums */

static int64_t count_of(const nissl__value *v)
{
    int64_t n = 1;
    for (int i = 0; i < v->rank; i++)
        n *= v->shape[i];
    return n;
}

static double range_of(const float *x, int64_t n)
{
    double range = 0;
    for (int64_t i = 0; i < n; i++)
        range = fmax(range, fabs((double)x[i]));
    return range;
}

/* sum = a + b (+ c) everywhere. */
static bool is_sum(const nissl__found_values *f, int sum, int a, int b, int c)
{
    int64_t n = count_of(&f->values[sum]);
    const float *s = f->data[sum], *x = f->data[a], *y = f->data[b],
                *z = c >= 0 ? f->data[c] : NULL;
    if (!s || !x || !y || (c >= 0 && !z) || count_of(&f->values[a]) != n ||
        count_of(&f->values[b]) != n)
        return false;
    double range = range_of(s, n);
    for (int64_t i = 0; i < n; i++) {
        double want = (double)x[i] + (double)y[i] + (z ? (double)z[i] : 0);
        if (fabs((double)s[i] - want) > CLOSE * range)
            return false;
    }
    return true;
}

/* Whether each column of y [rows, n] is a multiple (and, with shift, an offset) of that of x. */
static bool columns_agree(const double *x, const float *y, int64_t rows, int64_t n, bool shift)
{
    double range = range_of(y, rows * n);
    for (int64_t j = 0; j < n; j++) {
        double sx = 0, sy = 0, sxx = 0, sxy = 0;
        for (int64_t i = 0; i < rows; i++) {
            double a = x[i * n + j], b = (double)y[i * n + j];
            sx += a;
            sy += b;
            sxx += a * a;
            sxy += a * b;
        }
        double mx = shift ? sx / (double)rows : 0, my = shift ? sy / (double)rows : 0;
        double xx = sxx - mx * sx, slope = xx > 0 ? (sxy - mx * sy) / xx : 0;
        for (int64_t i = 0; i < rows; i++) {
            double want = my + slope * (x[i * n + j] - mx);
            if (fabs((double)y[i * n + j] - want) > 10 * CLOSE * range)
                return false;
        }
    }
    return true;
}

/* Rows of x [rows, n] without their mean (or with it) over their deviation. */
static void normalise(const float *x, int64_t rows, int64_t n, bool rms, double *out)
{
    for (int64_t i = 0; i < rows; i++) {
        double mean = 0, square = 0;
        for (int64_t j = 0; j < n && !rms; j++)
            mean += (double)x[i * n + j] / (double)n;
        for (int64_t j = 0; j < n; j++) {
            double d = (double)x[i * n + j] - mean;
            square += d * d / (double)n;
        }
        for (int64_t j = 0; j < n; j++)
            out[i * n + j] = ((double)x[i * n + j] - mean) / sqrt(fmax(square, 1e-30));
    }
}

bool nissl__confirm_norm(const nissl__found_values *f, int x, int y, bool *rms)
{
    const nissl__value *v = &f->values[x];
    int64_t n = v->shape[v->rank - 1], total = count_of(v), rows = n ? total / n : 0;
    double *core = NULL;
    bool found = false;
    if (!f->data[x] || !f->data[y] || count_of(&f->values[y]) != total || rows < 4)
        return false;
    if (!(core = nissl__alloc((size_t)total, sizeof *core)))
        return false;
    for (int kind = 1; kind >= 0 && !found; kind--) { /* the one with fewer freedoms first */
        normalise(f->data[x], rows, n, kind, core);
        found = columns_agree(core, f->data[y], rows, n, !kind);
        if (found)
            *rms = kind;
    }
    nissl__free(core);
    return found;
}

/* ---- heads ---- */

/* A tensor of heads, [batch, tokens, heads, d] or [batch, heads, tokens, d]. */
typedef struct heads {
    const float *x;
    int64_t n, d, stride_head, stride_token, stride_stimulus;
} heads;

static bool heads_of(const nissl__found_values *f, int value, heads *out)
{
    const nissl__value *v = value >= 0 ? &f->values[value] : NULL;
    if (!v || !f->data[value] || v->rank != 4)
        return false;
    bool tokens_first = v->shape[1] == f->tokens;
    *out = (heads){.x = f->data[value],
                   .n = v->shape[tokens_first ? 2 : 1],
                   .d = v->shape[3],
                   .stride_stimulus = v->shape[1] * v->shape[2] * v->shape[3]};
    int64_t outer = v->shape[2] * v->shape[3];
    out->stride_token = tokens_first ? outer : v->shape[3];
    out->stride_head = tokens_first ? v->shape[3] : outer;
    return tokens_first || v->shape[2] == f->tokens;
}

static const float *head_at(const heads *h, int64_t stimulus, int64_t token, int64_t head)
{
    return h->x + stimulus * h->stride_stimulus + token * h->stride_token + head * h->stride_head;
}

static double dot(const float *a, const float *b, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += (double)a[i] * (double)b[i];
    return sum;
}

static bool rows_sum_to_one(const nissl__found_values *f, int pattern)
{
    const float *p = f->data[pattern];
    int64_t rows = count_of(&f->values[pattern]) / f->tokens;
    for (int64_t i = 0; i < rows; i++) {
        double sum = 0;
        for (int64_t k = 0; k < f->tokens; k++) {
            if (!(p[i * f->tokens + k] >= 0))
                return false;
            sum += (double)p[i * f->tokens + k];
        }
        if (fabs(sum - 1) > CLOSE)
            return false;
    }
    return true;
}

/* Where a pattern is above zero it is the softmax of the scores there. */
static bool is_softmax(const nissl__found_values *f, int pattern, int scores)
{
    const float *p = f->data[pattern], *s = f->data[scores];
    int64_t n = f->tokens, rows = count_of(&f->values[pattern]) / n;
    if (!s || count_of(&f->values[scores]) != rows * n)
        return false;
    for (int64_t i = 0; i < rows; i++) {
        double largest = -INFINITY, sum = 0;
        for (int64_t k = i * n; k < (i + 1) * n; k++)
            if (p[k] > 0)
                largest = fmax(largest, (double)s[k]);
        for (int64_t k = i * n; k < (i + 1) * n; k++)
            sum += p[k] > 0 ? exp((double)s[k] - largest) : 0;
        for (int64_t k = i * n; k < (i + 1) * n; k++)
            if (p[k] > 0 && fabs((double)p[k] - exp((double)s[k] - largest) / sum) > CLOSE)
                return false;
    }
    return true;
}

/* z = pattern v, a value head serving as many heads as there are per value head. */
static bool is_mixture(const nissl__found_values *f, int pattern, int value, int result)
{
    heads v, z;
    const float *p = f->data[pattern];
    if (!heads_of(f, value, &v) || !heads_of(f, result, &z) || z.n % v.n || z.d != v.d)
        return false;
    double range = range_of(z.x, count_of(&f->values[result]));
    for (int64_t b = 0; b < f->batch; b++)
        for (int64_t h = 0; h < z.n; h++)
            for (int64_t t = 0; t < f->tokens; t++)
                for (int64_t i = 0; i < z.d; i++) {
                    const float *row = p + ((b * z.n + h) * f->tokens + t) * f->tokens;
                    double sum = 0;
                    for (int64_t k = 0; k < f->tokens; k++)
                        sum += (double)row[k] * (double)head_at(&v, b, k, h / (z.n / v.n))[i];
                    if (fabs(sum - (double)head_at(&z, b, t, h)[i]) > CLOSE * range)
                        return false;
                }
    return true;
}

/* Scores are one multiple of q . k everywhere. */
static bool is_product(const nissl__found_values *f, int query, int key, int scores)
{
    heads q, k;
    const float *s = f->data[scores];
    double ss = 0, sp = 0, range = range_of(s, count_of(&f->values[scores]));
    if (!heads_of(f, query, &q) || !heads_of(f, key, &k) || q.d != k.d || q.n % k.n)
        return false;
    for (int pass = 0; pass < 2; pass++)
        for (int64_t b = 0; b < f->batch; b++)
            for (int64_t h = 0; h < q.n; h++)
                for (int64_t i = 0; i < f->tokens; i++)
                    for (int64_t j = 0; j < f->tokens; j++) {
                        double product =
                            dot(head_at(&q, b, i, h), head_at(&k, b, j, h / (q.n / k.n)), q.d);
                        double score = (double)s[((b * q.n + h) * f->tokens + i) * f->tokens + j];
                        if (pass == 0) {
                            ss += product * product;
                            sp += product * score;
                        } else if (fabs(score - sp / ss * product) > CLOSE * range) {
                            return false;
                        }
                    }
    return ss > 0;
}

/* A rotation keeps lengths and does nothing at the first token. */
static bool is_rotation(const nissl__found_values *f, int from, int to)
{
    heads a, b;
    if (!heads_of(f, from, &a) || !heads_of(f, to, &b) || a.n != b.n || a.d != b.d)
        return false;
    double range = range_of(a.x, count_of(&f->values[from]));
    for (int64_t s = 0; s < f->batch; s++)
        for (int64_t h = 0; h < a.n; h++)
            for (int64_t t = 0; t < f->tokens; t++) {
                const float *x = head_at(&a, s, t, h), *y = head_at(&b, s, t, h);
                if (fabs(sqrt(dot(x, x, a.d)) - sqrt(dot(y, y, a.d))) > CLOSE * range * (double)a.d)
                    return false;
                for (int64_t i = 0; i < a.d && t == 0; i++)
                    if (fabs((double)x[i] - (double)y[i]) > CLOSE * range)
                        return false;
            }
    return true;
}

/* Rotated heads at the first token are the heads, normalised and scaled by feature. */
static bool is_normalised_rotation(const nissl__found_values *f, int from, int to)
{
    heads a, b;
    if (!heads_of(f, from, &a) || !heads_of(f, to, &b) || a.n != b.n || a.d != b.d)
        return false;
    int64_t rows = f->batch * a.n;
    float *x = nissl__alloc((size_t)(rows * a.d), sizeof *x);
    float *y = nissl__alloc((size_t)(rows * a.d), sizeof *y);
    double *core = nissl__alloc((size_t)(rows * a.d), sizeof *core);
    bool same = x && y && core;
    for (int64_t i = 0; same && i < rows; i++) {
        memcpy(x + i * a.d, head_at(&a, i / a.n, 0, i % a.n), (size_t)a.d * sizeof *x);
        memcpy(y + i * a.d, head_at(&b, i / a.n, 0, i % a.n), (size_t)a.d * sizeof *y);
    }
    if (same) {
        normalise(x, rows, a.d, true, core);
        same = columns_agree(core, y, rows, a.d, false);
    }
    nissl__free(x);
    nissl__free(y);
    nissl__free(core);
    return same;
}

/* ---- the MLP ---- */

static double gelu(double x)
{
    return x / 2 * (1 + erf(x / sqrt(2)));
}

static double gelu_tanh(double x)
{
    return x / 2 * (1 + tanh(0.7978845608028654 * (x + 0.044715 * x * x * x)));
}

static double relu(double x)
{
    return x > 0 ? x : 0;
}

static double silu(double x)
{
    return x / (1 + exp(-x));
}

static double quick_gelu(double x)
{
    return x / (1 + exp(-1.702 * x));
}

/* post = f(pre), times what is linear, for one of the known f. */
static bool is_activation(const nissl__found_values *f, int pre, int linear, int post)
{
    static double (*const known[])(double) = {gelu, gelu_tanh, relu, silu, quick_gelu, tanh};
    int64_t n = count_of(&f->values[post]);
    const float *x = f->data[pre], *y = f->data[post], *u = linear >= 0 ? f->data[linear] : NULL;
    if (!x || !y || (linear >= 0 && !u) || count_of(&f->values[pre]) != n)
        return false;
    double range = range_of(y, n);
    for (size_t k = 0; k < sizeof known / sizeof *known; k++) {
        int64_t i = 0;
        while (i < n && fabs((double)y[i] - known[k]((double)x[i]) * (u ? (double)u[i] : 1)) <=
                            CLOSE * range)
            i++;
        if (i == n)
            return true;
    }
    return false;
}

bool nissl__confirm_causal(const nissl__found_values *f, const nissl__found_block *block)
{
    const float *p = f->data[block->pattern];
    int64_t n = f->tokens, rows = count_of(&f->values[block->pattern]) / n;
    for (int64_t i = 0; i < rows; i++)
        for (int64_t k = i % n + 1; k < n; k++)
            if (p[i * n + k] != 0)
                return false;
    return true;
}

static bool confirm_attention(const nissl__found_values *f, nissl__found_block *b, const char **why)
{
    int q = b->rotated_q >= 0 ? b->rotated_q : b->q, k = b->rotated_k >= 0 ? b->rotated_k : b->k;
    *why = "rows of the attention pattern do not sum to one";
    if (!rows_sum_to_one(f, b->pattern))
        return false;
    *why = "the pattern is no softmax of the scores";
    if (!is_softmax(f, b->pattern, b->scores))
        return false;
    *why = "z is not the pattern times v";
    if (!is_mixture(f, b->pattern, b->v, b->z))
        return false;
    *why = "scores are no multiple of q times k";
    if (!is_product(f, q, k, b->scores))
        return false;
    *why = "rotated queries are not what was rotated";
    if (b->rotated_q >= 0 && !is_rotation(f, b->q, b->rotated_q) &&
        !is_normalised_rotation(f, b->q, b->rotated_q))
        return false;
    *why = "rotated keys are not what was rotated";
    return b->rotated_k < 0 || is_rotation(f, b->k, b->rotated_k) ||
           is_normalised_rotation(f, b->k, b->rotated_k);
}

bool nissl__confirm_block(const nissl__found_values *f, nissl__found_block *b, const char **why)
{
    bool rms[2] = {false, false}, bare;
    if (!confirm_attention(f, b, why))
        return false;
    *why = "the residual stream is no sum";
    if (b->parallel ? !is_sum(f, b->out, b->in, b->attn_out, b->mlp_out)
                    : !is_sum(f, b->mid, b->in, b->attn_out, -1) ||
                          !is_sum(f, b->out, b->after ? b->norm2 : b->mid, b->mlp_out, -1))
        return false;
    *why = "a norm is none";
    if (!b->after && !nissl__confirm_norm(f, b->in, b->norm1, &rms[0]))
        return false;
    if (!nissl__confirm_norm(f, b->parallel ? b->in : b->mid, b->norm2, &rms[1]))
        return false;
    if (b->after && !nissl__confirm_norm(f, b->out, b->norm_out, &rms[0]))
        return false;
    if (rms[0] != rms[1])
        return false;
    b->rms = rms[0];
    if (!b->rms || (b->bare1 >= 0 && !nissl__confirm_norm(f, b->in, b->bare1, &bare)))
        b->bare1 = -1;
    if (!b->rms ||
        (b->bare2 >= 0 && !nissl__confirm_norm(f, b->parallel ? b->in : b->mid, b->bare2, &bare)))
        b->bare2 = -1;
    *why = "the activation is none that is known";
    return is_activation(f, b->pre, b->linear, b->post);
}
