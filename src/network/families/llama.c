/* Llama, Qwen2, Qwen3 and llama2.c: root-mean-square norms, rotary positions, grouped key-value
 * heads, gated MLPs. */
#include "network/families/build.h"

/* Query, key or value heads; Qwen3 normalises each head of query and key before it is rotated. */
static const char *heads(nissl__builder *b, int i, const char *name, const char *x,
                         const char *from, int64_t n_heads)
{
    const nissl__family_config *c = b->config;
    const char *site = nissl__text(b, "blocks.%d.attn.hook_%s", i, name);
    const char *y = nissl__linear(b, NULL, x, nissl__text(b, "%s.%s_proj", from, name), c->d_model,
                                  n_heads * c->d_head, false);
    y = nissl__heads(b, site, y, n_heads);
    const char *norm = nissl__text(b, "%s.%s_norm.weight", from, name);
    if (c->family != NISSL__FAMILY_QWEN3 || name[0] == 'v')
        return y;
    const char *normalized = nissl__text(b, "blocks.%d.attn.%s_norm.hook_normalized", i, name);
    const char *z =
        nissl__rms_norm(b, normalized, nissl__text(b, "blocks.%d.attn.%s_norm.hook_out", i, name),
                        y, norm, c->d_head);
    nissl__site_is(b, normalized, "spuu");
    nissl__site_is(b, z, "spuu");
    nissl__alias_add(b, z, "model.layers.%d.self_attn.%s_norm", i, name);
    return z;
}

static const char *norm(nissl__builder *b, const char *prefix, const char *x, const char *from,
                        const char *to)
{
    const char *normalized = nissl__text(b, "%s.hook_normalized", prefix);
    const char *y = nissl__rms_norm(b, normalized, nissl__text(b, "%s.hook_out", prefix), x,
                                    nissl__text(b, "%s.weight", from), b->config->d_model);
    nissl__site_is(b, normalized, "spu");
    nissl__site_is(b, y, "spu");
    nissl__alias_add(b, y, "%s", to);
    return y;
}

/* down(act(gate(x)) * up(x)) */
static const char *gated_mlp(nissl__builder *b, int i, const char *x, const char *from,
                             const char *to)
{
    const nissl__family_config *c = b->config;
    const char *gate =
        nissl__linear(b, NISSL__BLOCK(b, i, "mlp.hook_pre"), x,
                      nissl__text(b, "%s.gate_proj", from), c->d_model, c->d_mlp, false);
    nissl__alias_add(b, gate, "%s.gate_proj", to);
    const char *up = nissl__linear(b, NISSL__BLOCK(b, i, "mlp.hook_pre_linear"), x,
                                   nissl__text(b, "%s.up_proj", from), c->d_model, c->d_mlp, false);
    nissl__alias_add(b, up, "%s.up_proj", to);
    const char *act = nissl__activate(b, nissl__text(b, "%s.act_fn", to), gate);
    const char *post =
        nissl__node_add(b, NISSL__BLOCK(b, i, "mlp.hook_post"), "Mul", NISSL__IN(act, up), NULL);
    nissl__site_is(b, post, "spu");
    const char *out =
        nissl__linear(b, NISSL__BLOCK(b, i, "hook_mlp_out"), post,
                      nissl__text(b, "%s.down_proj", from), c->d_mlp, c->d_model, false);
    nissl__alias_add(b, out, "%s", to);
    nissl__alias_add(b, out, "%s.down_proj", to);
    return out;
}

static const char *block(nissl__builder *b, int i, const char *prefix, const char *x)
{
    const nissl__family_config *c = b->config;
    const char *from = nissl__text(b, "%slayers.%d", prefix, i);
    const char *to = nissl__text(b, "model.layers.%d", i);
    const char *self = nissl__text(b, "%s.self_attn", from);
    const char *y =
        norm(b, NISSL__BLOCK(b, i, "ln1"), x, nissl__text(b, "%s.input_layernorm", from),
             nissl__text(b, "%s.input_layernorm", to));
    const char *q = heads(b, i, "q", y, self, c->n_heads);
    const char *k = heads(b, i, "k", y, self, c->n_kv_heads);
    const char *v = heads(b, i, "v", y, self, c->n_kv_heads);
    q = nissl__rotate(b, NISSL__BLOCK(b, i, "attn.hook_rot_q"), q, c->n_heads);
    k = nissl__rotate(b, NISSL__BLOCK(b, i, "attn.hook_rot_k"), k, c->n_kv_heads);
    const char *z = nissl__attend(b, i, q, k, v);
    const char *attn =
        nissl__linear(b, NISSL__BLOCK(b, i, "hook_attn_out"), z, nissl__text(b, "%s.o_proj", self),
                      c->n_heads * c->d_head, c->d_model, false);
    nissl__alias_add(b, attn, "%s.self_attn", to);
    nissl__alias_add(b, attn, "%s.self_attn.o_proj", to);
    x = nissl__add_residual(b, NISSL__BLOCK(b, i, "hook_resid_mid"), x, attn);
    y = norm(b, NISSL__BLOCK(b, i, "ln2"), x, nissl__text(b, "%s.post_attention_layernorm", from),
             nissl__text(b, "%s.post_attention_layernorm", to));
    const char *mlp =
        gated_mlp(b, i, y, nissl__text(b, "%s.mlp", from), nissl__text(b, "%s.mlp", to));
    x = nissl__add_residual(b, NISSL__BLOCK(b, i, "hook_resid_post"), x, mlp);
    nissl__alias_add(b, x, "%s", to);
    return x;
}

void nissl__build_llama(nissl__builder *b)
{
    const nissl__family_config *c = b->config;
    const char *prefix = nissl__has_weight(b, "embed_tokens.weight") ? "" : "model.";
    const char *table = nissl__text(b, "%sembed_tokens.weight", prefix);
    nissl__begin_tokens(b, true);
    nissl__begin_rotation(b);
    const char *x = nissl__embed(b, "hook_embed", NISSL__WEIGHT(b, table, c->n_vocab, c->d_model));
    nissl__alias_add(b, x, "model.embed_tokens");
    for (int i = 0; i < c->n_layers; i++) {
        nissl__alias_add(b, x, "blocks.%d.hook_resid_pre", i);
        x = block(b, i, prefix, x);
    }
    x = norm(b, "ln_final", x, nissl__text(b, "%snorm", prefix), "model.norm");
    nissl__end_with_logits(b, x, "lm_head", "lm_head.bias", table);
}
