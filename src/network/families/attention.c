/* Heads, rotary positions and attention, with every tensor that has a name in it. */
#include "network/families/build.h"

const char *nissl__heads(nissl__builder *b, const char *name, const char *x, int64_t n_heads)
{
    const char *y = nissl__node_add(
        b, name, "Reshape", NISSL__IN(x, NISSL__SHAPE(b, 0, 0, n_heads, b->config->d_head)), NULL);
    nissl__site_is(b, y, "spuu");
    return y;
}

/* Part from .. to of the last of four axes, every step-th. */
static const char *part(nissl__builder *b, const char *x, int64_t from, int64_t to)
{
    return nissl__node_add(
        b, NULL, "Slice",
        NISSL__IN(x, NISSL__SHAPE(b, from), NISSL__SHAPE(b, to), NISSL__SHAPE(b, -1)), NULL);
}

static const char *join(nissl__builder *b, const char *name, const char *left, const char *right)
{
    return nissl__node_add(b, name, "Concat", NISSL__IN(left, right),
                           NISSL__WITH(NISSL__INT("axis", -1)));
}

/* Position times frequency of each pair, twice over: for both halves of a head or, interleaved, for
 * both neighbours. All of it is known when a program is compiled. */
void nissl__begin_rotation(nissl__builder *b)
{
    const nissl__family_config *c = b->config;
    int64_t half = c->d_rotary / 2;
    float *frequency = nissl__alloc((size_t)c->d_rotary, sizeof *frequency);
    if (!frequency) {
        if (b->status == NISSL_OK)
            b->status = NISSL__NO_MEMORY(b->err, (size_t)c->d_rotary * sizeof *frequency);
        return;
    }
    nissl__rope_frequencies(c, frequency);
    for (int64_t i = half - 1; i >= 0; i--) {
        float f = frequency[i];
        if (c->interleaved)
            frequency[2 * i] = frequency[2 * i + 1] = f;
        else
            frequency[half + i] = f;
    }
    const char *n =
        nissl__node_add(b, NULL, "Gather", NISSL__IN(b->shape, nissl__int_scalar(b, 1)), NULL);
    const char *at = nissl__node_add(
        b, NULL, "Range", NISSL__IN(nissl__int_scalar(b, 0), n, nissl__int_scalar(b, 1)), NULL);
    at = nissl__node_add(b, NULL, "Cast", NISSL__IN(at),
                         NISSL__WITH(NISSL__INT("to", 1))); /* float32 */
    at = nissl__node_add(b, NULL, "Reshape", NISSL__IN(at, NISSL__SHAPE(b, 1, -1, 1, 1)), NULL);
    const char *angle = nissl__node_add(
        b, NULL, "Mul", NISSL__IN(at, nissl__floats(b, c->d_rotary, frequency)), NULL);
    nissl__free(frequency);
    b->cosine = nissl__node_add(b, NULL, "Cos", NISSL__IN(angle), NULL);
    b->sine = nissl__node_add(b, NULL, "Sin", NISSL__IN(angle), NULL);
}

/* Every pair (x, y) becomes (-y, x). */
static const char *quarter_turn(nissl__builder *b, const char *x, int64_t n_heads)
{
    int64_t n = b->config->d_rotary, half = n / 2;
    if (!b->config->interleaved) {
        const char *first = part(b, x, 0, half), *second = part(b, x, half, n);
        return join(b, NULL, nissl__node_add(b, NULL, "Neg", NISSL__IN(second), NULL), first);
    }
    const char *pairs = nissl__node_add(
        b, NULL, "Reshape", NISSL__IN(x, NISSL__SHAPE(b, 0, 0, n_heads * half, 2)), NULL);
    const char *first = part(b, pairs, 0, 1), *second = part(b, pairs, 1, 2);
    const char *turned =
        join(b, NULL, nissl__node_add(b, NULL, "Neg", NISSL__IN(second), NULL), first);
    return nissl__node_add(b, NULL, "Reshape", NISSL__IN(turned, NISSL__SHAPE(b, 0, 0, n_heads, n)),
                           NULL);
}

const char *nissl__rotate(nissl__builder *b, const char *name, const char *x, int64_t n_heads)
{
    const nissl__family_config *c = b->config;
    bool whole = c->d_rotary == c->d_head;
    const char *rotary = whole ? x : part(b, x, 0, c->d_rotary);
    const char *straight = nissl__node_add(b, NULL, "Mul", NISSL__IN(rotary, b->cosine), NULL);
    const char *turned =
        nissl__node_add(b, NULL, "Mul", NISSL__IN(quarter_turn(b, rotary, n_heads), b->sine), NULL);
    const char *y =
        nissl__node_add(b, whole ? name : NULL, "Add", NISSL__IN(straight, turned), NULL);
    if (!whole)
        y = join(b, name, y, part(b, x, c->d_rotary, c->d_head));
    nissl__site_is(b, y, "spuu");
    return y;
}

/* Key or value heads that several query heads share, once for each of them: [batch, tokens,
 * n_heads, d_head]. */
static const char *shared_heads(nissl__builder *b, const char *x)
{
    const nissl__family_config *c = b->config;
    int64_t group = c->n_heads / c->n_kv_heads;
    if (group == 1)
        return x;
    x = nissl__node_add(b, NULL, "Unsqueeze", NISSL__IN(x, NISSL__SHAPE(b, 3)), NULL);
    x = nissl__node_add(b, NULL, "Expand", NISSL__IN(x, NISSL__SHAPE(b, 1, 1, 1, group, 1)), NULL);
    return nissl__node_add(b, NULL, "Reshape",
                           NISSL__IN(x, NISSL__SHAPE(b, 0, 0, c->n_heads, c->d_head)), NULL);
}

const char *nissl__attend(nissl__builder *b, int layer, const char *q, const char *k, const char *v)
{
    const nissl__family_config *c = b->config;
    float scale = c->scale_attention ? 1.0f / sqrtf((float)c->d_head) : 1.0f;
    if (c->scale_by_layer)
        scale /= (float)(layer + 1);
    q = nissl__node_add(b, NULL, "Transpose", NISSL__IN(q),
                        NISSL__WITH(NISSL__INTS("perm", 0, 2, 1, 3)));
    if (scale != 1.0f) /* smaller than the scores */
        q = nissl__node_add(b, NULL, "Mul", NISSL__IN(q, nissl__float_scalar(b, scale)), NULL);
    k = nissl__node_add(b, NULL, "Transpose", NISSL__IN(shared_heads(b, k)),
                        NISSL__WITH(NISSL__INTS("perm", 0, 2, 3, 1)));
    v = nissl__node_add(b, NULL, "Transpose", NISSL__IN(shared_heads(b, v)),
                        NISSL__WITH(NISSL__INTS("perm", 0, 2, 1, 3)));
    const char *scores = nissl__node_add(b, NISSL__BLOCK(b, layer, "attn.hook_attn_scores"),
                                         "MatMul", NISSL__IN(q, k), NULL);
    nissl__site_is(b, scores, "supp");
    const char *masked = nissl__node_add(b, NULL, "Add", NISSL__IN(scores, b->mask), NULL);
    const char *pattern = nissl__node_add(b, NISSL__BLOCK(b, layer, "attn.hook_pattern"), "Softmax",
                                          NISSL__IN(masked), NISSL__WITH(NISSL__INT("axis", -1)));
    nissl__site_is(b, pattern, "supp");
    const char *mixed = nissl__node_add(b, NULL, "MatMul", NISSL__IN(pattern, v), NULL);
    const char *z = nissl__node_add(b, NISSL__BLOCK(b, layer, "attn.hook_z"), "Transpose",
                                    NISSL__IN(mixed), NISSL__WITH(NISSL__INTS("perm", 0, 2, 1, 3)));
    nissl__site_is(b, z, "spuu");
    return nissl__node_add(b, NULL, "Reshape",
                           NISSL__IN(z, NISSL__SHAPE(b, 0, 0, c->n_heads * c->d_head)), NULL);
}
