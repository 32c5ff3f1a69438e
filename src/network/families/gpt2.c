/* GPT-2: learned positions, one matrix for query, key and value, weights stored [in, out]. */
#include "network/families/build.h"

/* One of the three parts of the joint projection. */
static const char *third(nissl__builder *b, int layer, const char *name, const char *joint, int i)
{
    int64_t d = b->config->d_model;
    const char *x = nissl__node_add(
        b, NULL, "Slice",
        NISSL__IN(joint, NISSL__SHAPE(b, i * d), NISSL__SHAPE(b, (i + 1) * d), NISSL__SHAPE(b, -1)),
        NULL);
    return nissl__heads(b, nissl__text(b, "blocks.%d.attn.hook_%s", layer, name), x,
                        b->config->n_heads);
}

static const char *block(nissl__builder *b, int i, const char *prefix, const char *x)
{
    const nissl__family_config *c = b->config;
    const char *from = nissl__text(b, "%sh.%d", prefix, i);
    const char *to = nissl__text(b, "transformer.h.%d", i);
    const char *norm = nissl__layer_norm(b, NISSL__BLOCK(b, i, "ln1.hook_normalized"), x,
                                         nissl__text(b, "%s.ln_1", from));
    nissl__alias_add(b, norm, "%s.ln_1", to);
    const char *joint = nissl__linear(b, NULL, norm, nissl__text(b, "%s.attn.c_attn", from),
                                      c->d_model, 3 * c->d_model, true);
    const char *q = third(b, i, "q", joint, 0);
    const char *k = third(b, i, "k", joint, 1);
    const char *v = third(b, i, "v", joint, 2);
    const char *z = nissl__attend(b, i, q, k, v);
    const char *attn =
        nissl__linear(b, NISSL__BLOCK(b, i, "hook_attn_out"), z,
                      nissl__text(b, "%s.attn.c_proj", from), c->d_model, c->d_model, true);
    nissl__alias_add(b, attn, "%s.attn", to);
    nissl__alias_add(b, attn, "%s.attn.c_proj", to);
    x = nissl__add_residual(b, NISSL__BLOCK(b, i, "hook_resid_mid"), x, attn);
    norm = nissl__layer_norm(b, NISSL__BLOCK(b, i, "ln2.hook_normalized"), x,
                             nissl__text(b, "%s.ln_2", from));
    nissl__alias_add(b, norm, "%s.ln_2", to);
    const char *pre =
        nissl__linear(b, NISSL__BLOCK(b, i, "mlp.hook_pre"), norm,
                      nissl__text(b, "%s.mlp.c_fc", from), c->d_model, c->d_mlp, true);
    nissl__alias_add(b, pre, "%s.mlp.c_fc", to);
    const char *post = nissl__activate(b, NISSL__BLOCK(b, i, "mlp.hook_post"), pre);
    nissl__alias_add(b, post, "%s.mlp.act", to);
    const char *mlp =
        nissl__linear(b, NISSL__BLOCK(b, i, "hook_mlp_out"), post,
                      nissl__text(b, "%s.mlp.c_proj", from), c->d_mlp, c->d_model, true);
    nissl__alias_add(b, mlp, "%s.mlp", to);
    nissl__alias_add(b, mlp, "%s.mlp.c_proj", to);
    x = nissl__add_residual(b, NISSL__BLOCK(b, i, "hook_resid_post"), x, mlp);
    nissl__alias_add(b, x, "%s", to);
    return x;
}

void nissl__build_gpt2(nissl__builder *b)
{
    const nissl__family_config *c = b->config;
    const char *prefix = nissl__has_weight(b, "wte.weight") ? "" : "transformer.";
    const char *table = nissl__text(b, "%swte.weight", prefix);
    const char *positions = nissl__text(b, "%swpe.weight", prefix);
    nissl__begin_tokens(b, true);
    const char *embed =
        nissl__embed(b, "hook_embed", NISSL__WEIGHT(b, table, c->n_vocab, c->d_model));
    nissl__alias_add(b, embed, "transformer.wte");
    const char *place = nissl__embed_positions(
        b, "hook_pos_embed", NISSL__WEIGHT(b, positions, c->n_positions, c->d_model));
    nissl__alias_add(b, place, "transformer.wpe");
    const char *x = nissl__add_residual(b, "blocks.0.hook_resid_pre", embed, place);
    for (int i = 0; i < c->n_layers; i++) {
        if (i > 0)
            nissl__alias_add(b, x, "blocks.%d.hook_resid_pre", i);
        x = block(b, i, prefix, x);
    }
    const char *norm =
        nissl__layer_norm(b, "ln_final.hook_normalized", x, nissl__text(b, "%sln_f", prefix));
    nissl__alias_add(b, norm, "transformer.ln_f");
    nissl__end_with_logits(b, norm, "lm_head", "lm_head.bias", table);
}
