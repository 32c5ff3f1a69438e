/* GPT-NeoX (Pythia): rotary positions on part of a head, attention and MLP side by side, one matrix
 * whose rows are [head, query key value, d_head]. */
#include "network/families/build.h"

static const char *attention(nissl__builder *b, int i, const char *x, const char *from)
{
    const nissl__family_config *c = b->config;
    static const char *const names[3] = {"q", "k", "v"};
    const char *head[3];
    const char *joint = nissl__linear(b, NULL, x, nissl__text(b, "%s.query_key_value", from),
                                      c->d_model, 3 * c->d_model, false);
    joint =
        nissl__node_add(b, NULL, "Reshape",
                        NISSL__IN(joint, NISSL__SHAPE(b, 0, 0, c->n_heads, 3 * c->d_head)), NULL);
    for (int k = 0; k < 3; k++) {
        head[k] =
            nissl__node_add(b, nissl__text(b, "blocks.%d.attn.hook_%s", i, names[k]), "Slice",
                            NISSL__IN(joint, NISSL__SHAPE(b, k * c->d_head),
                                      NISSL__SHAPE(b, (k + 1) * c->d_head), NISSL__SHAPE(b, -1)),
                            NULL);
        nissl__site_is(b, head[k], "spuu");
    }
    const char *q = nissl__rotate(b, NISSL__BLOCK(b, i, "attn.hook_rot_q"), head[0], c->n_heads);
    const char *k = nissl__rotate(b, NISSL__BLOCK(b, i, "attn.hook_rot_k"), head[1], c->n_heads);
    const char *z = nissl__attend(b, i, q, k, head[2]);
    const char *out =
        nissl__linear(b, NISSL__BLOCK(b, i, "hook_attn_out"), z, nissl__text(b, "%s.dense", from),
                      c->d_model, c->d_model, false);
    nissl__alias_add(b, out, "gpt_neox.layers.%d.attention", i);
    nissl__alias_add(b, out, "gpt_neox.layers.%d.attention.dense", i);
    return out;
}

static const char *block(nissl__builder *b, int i, const char *prefix, const char *x)
{
    const nissl__family_config *c = b->config;
    const char *from = nissl__text(b, "%slayers.%d", prefix, i);
    const char *to = nissl__text(b, "gpt_neox.layers.%d", i);
    const char *norm = nissl__layer_norm(b, NISSL__BLOCK(b, i, "ln1.hook_normalized"), x,
                                         nissl__text(b, "%s.input_layernorm", from));
    nissl__alias_add(b, norm, "%s.input_layernorm", to);
    const char *attn = attention(b, i, norm, nissl__text(b, "%s.attention", from));
    const char *second = x;
    if (!c->parallel)
        x = second = nissl__add_residual(b, NISSL__BLOCK(b, i, "hook_resid_mid"), x, attn);
    norm = nissl__layer_norm(b, NISSL__BLOCK(b, i, "ln2.hook_normalized"), second,
                             nissl__text(b, "%s.post_attention_layernorm", from));
    nissl__alias_add(b, norm, "%s.post_attention_layernorm", to);
    const char *pre =
        nissl__linear(b, NISSL__BLOCK(b, i, "mlp.hook_pre"), norm,
                      nissl__text(b, "%s.mlp.dense_h_to_4h", from), c->d_model, c->d_mlp, false);
    nissl__alias_add(b, pre, "%s.mlp.dense_h_to_4h", to);
    const char *post = nissl__activate(b, NISSL__BLOCK(b, i, "mlp.hook_post"), pre);
    nissl__alias_add(b, post, "%s.mlp.act", to);
    const char *mlp =
        nissl__linear(b, NISSL__BLOCK(b, i, "hook_mlp_out"), post,
                      nissl__text(b, "%s.mlp.dense_4h_to_h", from), c->d_mlp, c->d_model, false);
    nissl__alias_add(b, mlp, "%s.mlp", to);
    nissl__alias_add(b, mlp, "%s.mlp.dense_4h_to_h", to);
    if (c->parallel) { /* x + attention + MLP, added in the reference's order */
        const char *both = nissl__node_add(b, NULL, "Add", NISSL__IN(mlp, attn), NULL);
        x = nissl__add_residual(b, NISSL__BLOCK(b, i, "hook_resid_post"), both, x);
    } else {
        x = nissl__add_residual(b, NISSL__BLOCK(b, i, "hook_resid_post"), mlp, x);
    }
    nissl__alias_add(b, x, "%s", to);
    return x;
}

void nissl__build_neox(nissl__builder *b)
{
    const nissl__family_config *c = b->config;
    const char *prefix = nissl__has_weight(b, "embed_in.weight") ? "" : "gpt_neox.";
    const char *table = nissl__text(b, "%sembed_in.weight", prefix);
    nissl__begin_tokens(b, true);
    nissl__begin_rotation(b);
    const char *x = nissl__embed(b, "hook_embed", NISSL__WEIGHT(b, table, c->n_vocab, c->d_model));
    nissl__alias_add(b, x, "gpt_neox.embed_in");
    for (int i = 0; i < c->n_layers; i++) {
        nissl__alias_add(b, x, "blocks.%d.hook_resid_pre", i);
        x = block(b, i, prefix, x);
    }
    const char *norm = nissl__layer_norm(b, "ln_final.hook_normalized", x,
                                         nissl__text(b, "%sfinal_layer_norm", prefix));
    nissl__alias_add(b, norm, "gpt_neox.final_layer_norm");
    nissl__end_with_logits(b, norm, "embed_out", "embed_out.bias", table);
}
