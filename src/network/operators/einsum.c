/* Einsum of one or two operands, by the definition: a sum over the labels that the output lacks.
 * Where that is a batch of matrix products, oneDNN computes it. */
#include "network/operators/operators.h"

#define MAX_LABELS 26

typedef struct equation {
    int n_operands;
    int n_labels, n_out; /* the output's labels are 0 .. n_out - 1 in its order */
    int64_t size[MAX_LABELS];
    int rank[2];
    int label[2][NISSL_MAX_RANK]; /* of every axis of every operand */
} equation;

/* Labels of one term; "..." stands for as many axes as are left, named from 'A' on by their
 * distance from the end. */
static int expand_term(const char *from, const char *to, int rank, char *out)
{
    int n = 0, letters = 0;
    for (const char *p = from; p < to; p++)
        letters += (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z');
    for (const char *p = from; p < to && n < NISSL_MAX_RANK; p++) {
        if (*p == '.') {
            for (int i = rank - letters; i > 0 && n < NISSL_MAX_RANK; i--)
                out[n++] = (char)(128 - i); /* no letter of a file */
            while (p + 1 < to && p[1] == '.')
                p++;
        } else if (*p != ' ') {
            out[n++] = *p;
        }
    }
    return n;
}

static nissl_status parse(nissl__compiler *c, const nissl__node *node, equation *eq,
                          nissl_error *err)
{
    const char *text = nissl__attr_string(node, "equation", ""), *arrow = strstr(text, "->");
    const char *end = arrow ? arrow : text + strlen(text),
               *comma = memchr(text, ',', (size_t)(end - text));
    const char *begins[2] = {text, comma ? comma + 1 : NULL}, *ends[2] = {comma ? comma : end, end};
    char labels[2][NISSL_MAX_RANK], order[MAX_LABELS];
    int n_ellipsis = 0;
    *eq = (equation){.n_operands = node->n_inputs};
    if (node->n_inputs > 2 || (node->n_inputs == 2) != (comma != NULL))
        return NISSL__NODE_FAIL(c, err, NISSL_ERR_UNSUPPORTED, "%d operands for \"%s\"",
                                node->n_inputs, text);
    for (int i = 0; i < node->n_inputs; i++) {
        const nissl__value *in = nissl__in(c, node, i);
        int letters = 0;
        for (const char *p = begins[i]; p < ends[i]; p++)
            letters += (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z');
        eq->rank[i] = expand_term(begins[i], ends[i], in->rank, labels[i]);
        if (eq->rank[i] != in->rank)
            return NISSL__NODE_FAIL(c, err, NISSL_ERR_SHAPE,
                                    "\"%s\" names %d axes of operand %d, which has %d", text,
                                    eq->rank[i], i, in->rank);
        n_ellipsis = NISSL__MAX(n_ellipsis, in->rank - letters);
    }
    int n = 0;
    if (arrow) {
        int letters = 0;
        for (const char *p = arrow + 2; *p; p++)
            letters += (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z');
        char out[NISSL_MAX_RANK];
        bool dots = strchr(arrow + 2, '.') != NULL;
        int rank = expand_term(arrow + 2, arrow + 2 + strlen(arrow + 2),
                               letters + (dots ? n_ellipsis : 0), out);
        for (int i = 0; i < rank; i++)
            order[n++] = out[i];
    } else { /* labels that occur once, in alphabetical order; the ellipsis first */
        for (int i = n_ellipsis; i > 0; i--)
            order[n++] = (char)(128 - i);
        for (int letter = 'A'; letter <= 'z'; letter++) {
            int uses = 0;
            for (int i = 0; i < node->n_inputs; i++)
                for (int j = 0; j < eq->rank[i]; j++)
                    uses += labels[i][j] == letter;
            if (uses == 1 && n < MAX_LABELS)
                order[n++] = (char)letter;
        }
    }
    eq->n_out = n;
    for (int i = 0; i < node->n_inputs; i++)
        for (int j = 0; j < eq->rank[i]; j++) {
            int k = 0;
            while (k < n && order[k] != labels[i][j])
                k++;
            if (k == MAX_LABELS)
                return NISSL__NODE_FAIL(c, err, NISSL_ERR_UNSUPPORTED, "more than %d labels",
                                        MAX_LABELS);
            if (k == n)
                order[n++] = labels[i][j];
            eq->label[i][j] = k;
            int64_t size = nissl__in(c, node, i)->shape[j];
            if (eq->size[k] > 1 && size != 1 && size != eq->size[k])
                return NISSL__NODE_FAIL(c, err, NISSL_ERR_SHAPE,
                                        "a label of \"%s\" has sizes %lld and %lld", text,
                                        (long long)eq->size[k], (long long)size);
            eq->size[k] = NISSL__MAX(eq->size[k], size);
        }
    eq->n_labels = n;
    return NISSL_OK;
}

static nissl_status infer_einsum(nissl__compiler *c, const nissl__node *node, nissl_error *err)
{
    const nissl__value *in = nissl__in(c, node, 0);
    equation eq;
    nissl_status status = parse(c, node, &eq, err);
    if (status != NISSL_OK)
        return status;
    for (int i = 0; i < node->n_inputs; i++)
        if (nissl__in(c, node, i)->type != in->type ||
            (in->type != NISSL_FLOAT32 && in->type != NISSL_FLOAT64))
            return NISSL__NODE_FAIL(c, err, NISSL_ERR_TYPE, "operand %d is %s", i,
                                    nissl_type_name(nissl__in(c, node, i)->type));
    return nissl__set_shape(c, nissl__out(c, node, 0), in->type, eq.n_out, eq.size, err);
}

/* Strides of an operand by label; repeated labels (diagonals) add up, axes of size 1 do not move.
 */
static void label_strides(const equation *eq, int operand, const nissl_view *view, int64_t *stride)
{
    memset(stride, 0, MAX_LABELS * sizeof *stride);
    for (int j = 0; j < eq->rank[operand]; j++)
        if (view->shape[j] > 1)
            stride[eq->label[operand][j]] += view->stride[j];
}

static nissl_status execute_einsum(const nissl__step *step, nissl__call *call, nissl_error *err)
{
    const equation *eq = step->state;
    const nissl_view *out = call->out[0], *a = call->in[0],
                     *b = eq->n_operands == 2 ? call->in[1] : NULL;
    int64_t sa[MAX_LABELS], sb[MAX_LABELS] = {0}, n_out = nissl_view_count(out), n_sum = 1;
    label_strides(eq, 0, a, sa);
    if (b)
        label_strides(eq, 1, b, sb);
    for (int k = eq->n_out; k < eq->n_labels; k++)
        n_sum *= eq->size[k];
#pragma omp parallel for num_threads(call->threads) if (call->threads > 1)
    for (int64_t i = 0; i < n_out; i++) {
        int64_t rest = i, at_a = 0, at_b = 0, to = 0;
        double sum = 0;
        for (int k = eq->n_out - 1; k >= 0; k--) {
            int64_t index = rest % eq->size[k];
            rest /= eq->size[k];
            at_a += index * sa[k];
            at_b += index * sb[k];
            to += index * out->stride[k];
        }
        for (int64_t j = 0; j < n_sum; j++) {
            int64_t inner = j, pa = at_a, pb = at_b;
            for (int k = eq->n_labels - 1; k >= eq->n_out; k--) {
                int64_t index = inner % eq->size[k];
                inner /= eq->size[k];
                pa += index * sa[k];
                pb += index * sb[k];
            }
            if (out->type == NISSL_FLOAT32)
                sum += (double)((const float *)a->data)[pa] *
                       (b ? (double)((const float *)b->data)[pb] : 1.0);
            else
                sum += ((const double *)a->data)[pa] * (b ? ((const double *)b->data)[pb] : 1.0);
        }
        if (out->type == NISSL_FLOAT32)
            ((float *)out->data)[to] = (float)sum;
        else
            ((double *)out->data)[to] = sum;
    }
    return NISSL_OK;
}

/* Which operands have a label: bit 0 and bit 1; 4 = the output. */
static int where(const equation *eq, int label)
{
    int found = label < eq->n_out ? 4 : 0;
    for (int i = 0; i < 2; i++)
        for (int j = 0; j < eq->rank[i]; j++)
            found |= eq->label[i][j] == label ? 1 << i : 0;
    return found;
}

/* A batch of matrix products: every label is batch (7), row (5), column (6) or summed (3), none
 * repeats or is broadcast. */
static bool is_product(nissl__compiler *c, const nissl__node *node, const equation *eq)
{
    if (eq->n_operands != 2 || nissl__in(c, node, 0)->type != NISSL_FLOAT32)
        return false;
    for (int k = 0; k < eq->n_labels; k++) {
        int found = where(eq, k);
        if (found != 7 && found != 5 && found != 6 && found != 3)
            return false;
    }
    for (int i = 0; i < 2; i++)
        for (int j = 0; j < eq->rank[i]; j++) {
            if (nissl__in(c, node, i)->shape[j] != eq->size[eq->label[i][j]])
                return false;
            for (int k = 0; k < j; k++)
                if (eq->label[i][k] == eq->label[i][j])
                    return false;
        }
    return true;
}

/* A dense copy of an operand with its labels in the order of kinds[0], kinds[1], kinds[2]. */
static nissl_status arranged(nissl__compiler *c, const equation *eq, int value, int operand,
                             const int *kinds, int *out, nissl_error *err)
{
    const nissl__value *in = &c->values[value];
    int64_t shape[NISSL_MAX_RANK], stride[NISSL_MAX_RANK];
    int n = 0;
    for (int kind = 0; kind < 3; kind++)
        for (int k = 0; k < eq->n_labels; k++) {
            if (where(eq, k) != kinds[kind])
                continue;
            for (int j = 0; j < eq->rank[operand]; j++)
                if (eq->label[operand][j] == k) {
                    shape[n] = in->shape[j];
                    stride[n++] = in->stride[j];
                }
        }
    int view = nissl__new_value(c, in->type, n, shape, NISSL__PLAIN, err);
    if (view < 0)
        return NISSL_ERR_INTERNAL;
    c->values[view].dynamic = in->dynamic;
    nissl__alias(c, &c->values[view], value, 0, stride);
    return nissl__dense(c, view, NISSL__PLAIN, out, err);
}

static nissl_status lower_product(nissl__compiler *c, const nissl__node *node, const equation *eq,
                                  nissl_error *err)
{
    int a, b, out = node->outputs[0], n = 0;
    int64_t size[8] = {1, 1, 1, 1, 1, 1, 1, 1}, shape[NISSL_MAX_RANK], stride[NISSL_MAX_RANK],
            dense[NISSL_MAX_RANK];
    int axis_of[MAX_LABELS];
    nissl__matmul_spec spec = {.rank = 3};
    nissl_status status;
    if ((status = arranged(c, eq, node->inputs[0], 0, (const int[]){7, 5, 3}, &a, err)) !=
            NISSL_OK ||
        (status = arranged(c, eq, node->inputs[1], 1, (const int[]){7, 3, 6}, &b, err)) != NISSL_OK)
        return status;
    for (int k = 0; k < eq->n_labels; k++)
        size[where(eq, k)] *= eq->size[k];
    memcpy(spec.a_shape, (int64_t[]){size[7], size[5], size[3]}, sizeof(int64_t[3]));
    memcpy(spec.b_shape, (int64_t[]){size[7], size[3], size[6]}, sizeof(int64_t[3]));
    memcpy(spec.out_shape, (int64_t[]){size[7], size[5], size[6]}, sizeof(int64_t[3]));
    nissl__dense_strides(3, spec.a_shape, NISSL__PLAIN, spec.a_stride);
    nissl__dense_strides(3, spec.b_shape, NISSL__PLAIN, spec.b_stride);
    nissl__dense_strides(3, spec.out_shape, NISSL__PLAIN, spec.out_stride);
    int product = nissl__new_value(c, NISSL_FLOAT32, 3, spec.out_shape, NISSL__PLAIN, err);
    if (product < 0)
        return NISSL_ERR_INTERNAL;
    nissl__step *step = nissl__add_step(c, "matmul", 2, (const int[]){a, b}, 1, &product, 0);
    if (!step)
        return NISSL__NO_MEMORY(err, sizeof *step);
    if ((status = nissl__dnnl_matmul(c, step, &spec, err)) != NISSL_OK)
        return status;
    /* the product's axes in the order batch, rows, columns, seen in the order of the output's
     * labels */
    for (int kind = 0; kind < 3; kind++)
        for (int k = 0; k < eq->n_out; k++)
            if (where(eq, k) == (const int[]){7, 5, 6}[kind]) {
                shape[n] = eq->size[k];
                axis_of[k] = n++;
            }
    nissl__dense_strides(n, shape, NISSL__PLAIN, dense);
    for (int k = 0; k < eq->n_out; k++)
        stride[k] = dense[axis_of[k]];
    nissl__alias(c, &c->values[out], product, 0, stride);
    return NISSL_OK;
}

static nissl_status lower_einsum(nissl__compiler *c, const nissl__node *node, nissl_error *err)
{
    equation eq;
    nissl_status status = parse(c, node, &eq, err);
    if (status != NISSL_OK)
        return status;
    if (is_product(c, node, &eq) && !c->folding)
        return lower_product(c, node, &eq, err);
    nissl__place(c, &c->values[node->outputs[0]]);
    nissl__step *step =
        nissl__add_step(c, "einsum", node->n_inputs, node->inputs, 1, node->outputs, sizeof eq);
    if (!step)
        return NISSL__NO_MEMORY(err, sizeof eq);
    *(equation *)step->state = eq;
    step->execute = execute_einsum;
    return NISSL_OK;
}

const nissl__operator nissl__operators_einsum[] = {
    {"Einsum", 1, -1, infer_einsum, lower_einsum, .follows = false},
    {0},
};
