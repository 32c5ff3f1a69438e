/* Reading llama2.c checkpoints: the header says where every tensor is. */
#include "foundation/foundation.h"
#include "formats/llama2c.h"

#define HEADER_INTS 7
#define MAX_LAYERS  1024

static const char *const names[HEADER_INTS] = {"dim",        "hidden_dim", "n_layers", "n_heads",
                                               "n_kv_heads", "vocab_size", "seq_len"};

/* Reads and checks the header. Numbers that cannot be a network's are an error. */
static nissl_status read_header(const char *label, const uint8_t *bytes, size_t size,
                                nissl__llama2c *c, nissl_error *err)
{
    int64_t *const to[HEADER_INTS] = {&c->dim,        &c->hidden_dim, &c->n_layers, &c->n_heads,
                                      &c->n_kv_heads, &c->vocab_size, &c->seq_len};
    if (size < HEADER_INTS * sizeof(int32_t))
        return NISSL__FAIL(err, NISSL_ERR_FORMAT, "%s: %zu bytes; a llama2.c header has %zu", label,
                           size, HEADER_INTS * sizeof(int32_t));
    for (int i = 0; i < HEADER_INTS; i++) {
        const uint8_t *p = bytes + 4 * i;
        *to[i] = (int32_t)((uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 |
                           (uint32_t)p[3] << 24);
    }
    c->shared_classifier = c->vocab_size > 0;
    c->vocab_size = c->vocab_size < 0 ? -c->vocab_size : c->vocab_size;
    for (int i = 0; i < HEADER_INTS; i++)
        if (*to[i] < 1)
            return NISSL__FAIL(err, NISSL_ERR_FORMAT, "%s: %s = %lld in the header is below 1",
                               label, names[i], (long long)*to[i]);
    if (c->n_layers > MAX_LAYERS)
        return NISSL__FAIL(err, NISSL_ERR_LIMIT, "%s: %lld layers, at most %d", label,
                           (long long)c->n_layers, MAX_LAYERS);
    if (c->dim % c->n_heads || c->n_heads % c->n_kv_heads || c->dim / c->n_heads % 2)
        return NISSL__FAIL(err, NISSL_ERR_FORMAT,
                           "%s: dim = %lld, n_heads = %lld and n_kv_heads = %lld do not divide "
                           "into heads of an even size",
                           label, (long long)c->dim, (long long)c->n_heads,
                           (long long)c->n_kv_heads);
    return NISSL_OK;
}

/* Numbers of a run of tensors, added to *total; false on overflow. */
static bool add_run(int64_t a, int64_t b, int64_t c, int64_t *total)
{
    int64_t n;
    return nissl__mul(a, b, &n) && nissl__mul(n, c, &n) && nissl__add(*total, n, total);
}

/* Where each kind of tensor begins, in numbers after the header, and how many there are in all. */
static bool lay_out(const nissl__llama2c *c, int64_t start[13], int64_t *total)
{
    int64_t kv = c->dim / c->n_heads * c->n_kv_heads, half = c->dim / c->n_heads / 2;
    const int64_t run[13][3] = {{1, c->vocab_size, c->dim},
                                {c->n_layers, 1, c->dim},
                                {c->n_layers, c->dim, c->dim},
                                {c->n_layers, kv, c->dim},
                                {c->n_layers, kv, c->dim},
                                {c->n_layers, c->dim, c->dim},
                                {c->n_layers, 1, c->dim},
                                {c->n_layers, c->hidden_dim, c->dim},
                                {c->n_layers, c->dim, c->hidden_dim},
                                {c->n_layers, c->hidden_dim, c->dim},
                                {1, 1, c->dim},
                                {2, c->seq_len, half},
                                {c->shared_classifier ? 0 : 1, c->vocab_size, c->dim}};
    *total = 0;
    for (int i = 0; i < 13; i++) {
        start[i] = *total;
        if (!add_run(run[i][0], run[i][1], run[i][2], total))
            return false;
    }
    return *total <= INT64_MAX / 4 - HEADER_INTS;
}

bool nissl__llama2c_recognise(const void *bytes, size_t n, uint64_t file_size)
{
    nissl__llama2c c = {0};
    int64_t start[13], total;
    return read_header("", bytes, n, &c, NULL) == NISSL_OK && lay_out(&c, start, &total) &&
           (uint64_t)(HEADER_INTS + total) * 4 == file_size;
}

nissl_status nissl__llama2c_parse(const char *label, const void *bytes, size_t size,
                                  nissl__llama2c *out, nissl_error *err)
{
    nissl__llama2c c = {0};
    int64_t start[13], total;
    nissl_status status = read_header(label, bytes, size, &c, err);
    if (status != NISSL_OK)
        return status;
    if (!lay_out(&c, start, &total))
        return NISSL__FAIL(err, NISSL_ERR_FORMAT,
                           "%s: dim = %lld, hidden_dim = %lld and vocab_size = %lld need more than "
                           "2^63 - 1 bytes",
                           label, (long long)c.dim, (long long)c.hidden_dim,
                           (long long)c.vocab_size);
    if ((uint64_t)(HEADER_INTS + total) * 4 != size)
        return NISSL__FAIL(err, NISSL_ERR_FORMAT,
                           "%s: the header asks for %lld float32 after it, the file has %lld bytes "
                           "there",
                           label, (long long)total, (long long)size - HEADER_INTS * 4);
    const float *data = (const float *)((const char *)bytes + HEADER_INTS * sizeof(int32_t));
    const float **const to[] = {&c.token_embedding, &c.rms_att, &c.wq, &c.wk, &c.wv,       &c.wo,
                                &c.rms_ffn,         &c.w1,      &c.w2, &c.w3, &c.rms_final};
    for (size_t i = 0; i < sizeof to / sizeof *to; i++)
        *to[i] = data + start[i];
    c.wcls = c.shared_classifier ? c.token_embedding : data + start[12];
    *out = c;
    return NISSL_OK;
}

nissl_status nissl__llama2c_open(const char *path, nissl__llama2c *out, nissl_error *err)
{
    nissl__mapping file = {0};
    nissl_status status = nissl__map_file(path, &file, err);
    if (status == NISSL_OK)
        status = nissl__llama2c_parse(path, file.data, file.size, out, err);
    if (status == NISSL_OK)
        out->file = file;
    else
        nissl__unmap_file(&file);
    return status;
}

void nissl__llama2c_close(nissl__llama2c *checkpoint)
{
    nissl__unmap_file(&checkpoint->file);
    *checkpoint = (nissl__llama2c){0};
}
