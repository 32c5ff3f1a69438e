/* BERT: norms after each sum, every token sees every token, positions and segments learned. */
#include "network/families/build.h"

static const char *heads(nissl__builder *b, int i, const char *name, const char *part,
                         const char *x, const char *from)
{
    const nissl__family_config *c = b->config;
    const char *y = nissl__linear(b, NULL, x, nissl__text(b, "%s.attention.self.%s", from, part),
                                  c->d_model, c->d_model, false);
    return nissl__heads(b, nissl__text(b, "blocks.%d.attn.hook_%s", i, name), y, c->n_heads);
}

static const char *block(nissl__builder *b, int i, const char *prefix, const char *x)
{
    const nissl__family_config *c = b->config;
    const char *from = nissl__text(b, "%sencoder.layer.%d", prefix, i);
    const char *to = nissl__text(b, "bert.encoder.layer.%d", i);
    const char *q = heads(b, i, "q", "query", x, from);
    const char *k = heads(b, i, "k", "key", x, from);
    const char *v = heads(b, i, "v", "value", x, from);
    const char *z = nissl__attend(b, i, q, k, v);
    const char *attn = nissl__linear(b, NISSL__BLOCK(b, i, "hook_attn_out"), z,
                                     nissl__text(b, "%s.attention.output.dense", from), c->d_model,
                                     c->d_model, false);
    nissl__alias_add(b, attn, "%s.attention.output.dense", to);
    x = nissl__add_residual(b, NISSL__BLOCK(b, i, "hook_resid_mid"), attn, x);
    x = nissl__layer_norm(b, NISSL__BLOCK(b, i, "ln1.hook_normalized"), x,
                          nissl__text(b, "%s.attention.output.LayerNorm", from));
    nissl__alias_add(b, x, "%s.attention", to);
    nissl__alias_add(b, x, "%s.attention.output", to);
    const char *pre =
        nissl__linear(b, NISSL__BLOCK(b, i, "mlp.hook_pre"), x,
                      nissl__text(b, "%s.intermediate.dense", from), c->d_model, c->d_mlp, false);
    nissl__alias_add(b, pre, "%s.intermediate.dense", to);
    const char *post = nissl__activate(b, NISSL__BLOCK(b, i, "mlp.hook_post"), pre);
    nissl__alias_add(b, post, "%s.intermediate", to);
    const char *mlp =
        nissl__linear(b, NISSL__BLOCK(b, i, "hook_mlp_out"), post,
                      nissl__text(b, "%s.output.dense", from), c->d_mlp, c->d_model, false);
    nissl__alias_add(b, mlp, "%s.output.dense", to);
    x = nissl__add_residual(b, NISSL__BLOCK(b, i, "hook_resid_post"), mlp, x);
    x = nissl__layer_norm(b, NISSL__BLOCK(b, i, "hook_normalized_resid_post"), x,
                          nissl__text(b, "%s.output.LayerNorm", from));
    nissl__alias_add(b, x, "blocks.%d.ln2.hook_normalized", i);
    nissl__alias_add(b, x, "%s", to);
    nissl__alias_add(b, x, "%s.output", to);
    return x;
}

/* Word, position and segment 0, then a norm. */
static const char *embeddings(nissl__builder *b, const char *prefix, const char *table)
{
    const nissl__family_config *c = b->config;
    const char *from = nissl__text(b, "%sembeddings", prefix);
    const char *words = nissl__embed(b, "hook_embed", table);
    nissl__alias_add(b, words, "embed.hook_embed");
    nissl__alias_add(b, words, "bert.embeddings.word_embeddings");
    const char *positions = NISSL__WEIGHT(b, nissl__text(b, "%s.position_embeddings.weight", from),
                                          c->n_positions, c->d_model);
    const char *place = nissl__embed_positions(b, "hook_pos_embed", positions);
    nissl__alias_add(b, place, "embed.hook_pos_embed");
    nissl__alias_add(b, place, "bert.embeddings.position_embeddings");
    const char *types = nissl__text(b, "%s.token_type_embeddings.weight", from);
    int64_t n_types = nissl__weight_rows(b, types);
    const char *segment = nissl__node_add(
        b, NULL, "Gather",
        NISSL__IN(NISSL__WEIGHT(b, types, n_types, c->d_model), NISSL__SHAPE(b, 0)), NULL);
    segment = nissl__node_add(b, "hook_token_type_embed", "Unsqueeze",
                              NISSL__IN(segment, NISSL__SHAPE(b, 0)), NULL);
    nissl__alias_add(b, segment, "embed.hook_token_type_embed");
    nissl__alias_add(b, segment, "bert.embeddings.token_type_embeddings");
    const char *sum = nissl__node_add(b, NULL, "Add", NISSL__IN(words, segment), NULL);
    sum = nissl__node_add(b, NULL, "Add", NISSL__IN(sum, place), NULL);
    const char *x =
        nissl__layer_norm(b, "hook_full_embed", sum, nissl__text(b, "%s.LayerNorm", from));
    nissl__alias_add(b, x, "bert.embeddings");
    return x;
}

/* The head of masked language models: a layer, a norm, the vocabulary. */
static void masked_head(nissl__builder *b, const char *x, const char *table)
{
    const nissl__family_config *c = b->config;
    const char *dense = nissl__linear(b, "mlm_head.hook_pre", x, "cls.predictions.transform.dense",
                                      c->d_model, c->d_model, false);
    nissl__alias_add(b, dense, "cls.predictions.transform.dense");
    const char *act = nissl__activate(b, "mlm_head.hook_post", dense);
    const char *norm = nissl__layer_norm(b, "mlm_head.ln.hook_normalized", act,
                                         "cls.predictions.transform.LayerNorm");
    nissl__alias_add(b, norm, "cls.predictions.transform");
    const char *bias = "cls.predictions.decoder.bias";
    nissl__end_with_logits(b, norm, "cls.predictions.decoder",
                           nissl__has_weight(b, bias) ? bias : "cls.predictions.bias", table);
}

/* The first token through a layer and tanh; a classifier on top where there is one. */
static void pooled(nissl__builder *b, const char *x, const char *prefix)
{
    const nissl__family_config *c = b->config;
    const char *first = nissl__node_add(b, NULL, "Gather", NISSL__IN(x, nissl__int_scalar(b, 0)),
                                        NISSL__WITH(NISSL__INT("axis", 1)));
    const char *dense = nissl__text(b, "%spooler.dense", prefix);
    const char *y = nissl__node_add(
        b, "bert.pooler.dense", "Gemm",
        NISSL__IN(first,
                  NISSL__WEIGHT(b, nissl__text(b, "%s.weight", dense), c->d_model, c->d_model),
                  NISSL__WEIGHT(b, nissl__text(b, "%s.bias", dense), c->d_model)),
        NISSL__WITH(NISSL__INT("transB", 1)));
    nissl__site_is(b, y, "su");
    y = nissl__node_add(b, "pooler_output", "Tanh", NISSL__IN(y), NULL);
    nissl__site_is(b, y, "su");
    nissl__alias_add(b, y, "bert.pooler");
    if (!nissl__has_weight(b, "classifier.weight")) {
        nissl__output_is(b, x, true, c->d_model);
        nissl__output_is(b, y, false, c->d_model);
        return;
    }
    int64_t n = nissl__weight_rows(b, "classifier.weight");
    y = nissl__node_add(b, "logits", "Gemm",
                        NISSL__IN(y, NISSL__WEIGHT(b, "classifier.weight", n, c->d_model),
                                  NISSL__WEIGHT(b, "classifier.bias", n)),
                        NISSL__WITH(NISSL__INT("transB", 1)));
    nissl__site_is(b, y, "su");
    nissl__alias_add(b, y, "classifier");
    nissl__output_is(b, y, false, n);
}

void nissl__build_bert(nissl__builder *b)
{
    const nissl__family_config *c = b->config;
    const char *prefix = nissl__has_weight(b, "embeddings.word_embeddings.weight") ? "" : "bert.";
    const char *words = nissl__text(b, "%sembeddings.word_embeddings.weight", prefix);
    nissl__begin_tokens(b, false);
    const char *x = embeddings(b, prefix, NISSL__WEIGHT(b, words, c->n_vocab, c->d_model));
    for (int i = 0; i < c->n_layers; i++) {
        nissl__alias_add(b, x, "blocks.%d.hook_resid_pre", i);
        x = block(b, i, prefix, x);
    }
    nissl__alias_add(b, x, "last_hidden_state");
    if (nissl__has_weight(b, "cls.predictions.transform.dense.weight"))
        masked_head(b, x, words);
    else if (nissl__has_weight(b, nissl__text(b, "%spooler.dense.weight", prefix)))
        pooled(b, x, prefix);
    else
        nissl__output_is(b, x, true, c->d_model);
}
