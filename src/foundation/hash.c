/* XXH64 (Collet), from its published specification: fast, stable across machines, not
 * cryptographic. */
#include "foundation/foundation.h"

#define P1 0x9e3779b185ebca87u
#define P2 0xc2b2ae3d27d4eb4fu
#define P3 0x165667b19e3779f9u
#define P4 0x85ebca77c2b2ae63u
#define P5 0x27d4eb2f165667c5u

static uint64_t rotate(uint64_t x, int n)
{
    return x << n | x >> (64 - n);
}

static uint64_t read64(const unsigned char *p)
{
    uint64_t x;
    memcpy(&x, p, sizeof x);
    return x;
}

static uint64_t round64(uint64_t state, uint64_t lane)
{
    return rotate(state + lane * P2, 31) * P1;
}

static void stripe(nissl__hash *hash, const unsigned char *p)
{
    for (int i = 0; i < 4; i++)
        hash->state[i] = round64(hash->state[i], read64(p + 8 * i));
}

void nissl__hash_begin(nissl__hash *hash)
{
    *hash = (nissl__hash){.state = {P1 + P2, P2, 0, 0 - P1}};
}

void nissl__hash_add(nissl__hash *hash, const void *bytes, size_t n)
{
    const unsigned char *p = bytes;
    if (n == 0) /* bytes may be NULL then, which memcpy must not see */
        return;
    hash->total += n;
    if (hash->n_tail) {
        size_t take = NISSL__MIN(n, sizeof hash->tail - hash->n_tail);
        memcpy(hash->tail + hash->n_tail, p, take);
        hash->n_tail += take;
        p += take;
        n -= take;
        if (hash->n_tail < sizeof hash->tail)
            return;
        stripe(hash, hash->tail);
        hash->n_tail = 0;
    }
    for (; n >= sizeof hash->tail; p += sizeof hash->tail, n -= sizeof hash->tail)
        stripe(hash, p);
    if (n)
        memcpy(hash->tail, p, n);
    hash->n_tail = n;
}

uint64_t nissl__hash_end(const nissl__hash *hash)
{
    const uint64_t *s = hash->state;
    const unsigned char *p = hash->tail;
    size_t n = hash->n_tail;
    uint64_t h;
    if (hash->total >= sizeof hash->tail) {
        h = rotate(s[0], 1) + rotate(s[1], 7) + rotate(s[2], 12) + rotate(s[3], 18);
        for (int i = 0; i < 4; i++)
            h = (h ^ round64(0, s[i])) * P1 + P4;
    } else {
        h = P5;
    }
    h += hash->total;
    for (; n >= 8; p += 8, n -= 8)
        h = rotate(h ^ round64(0, read64(p)), 27) * P1 + P4;
    if (n >= 4) {
        uint32_t x;
        memcpy(&x, p, sizeof x);
        h = rotate(h ^ x * P1, 23) * P2 + P3;
        p += 4;
        n -= 4;
    }
    for (; n; p++, n--)
        h = rotate(h ^ *p * P5, 11) * P1;
    h = (h ^ h >> 33) * P2;
    h = (h ^ h >> 29) * P3;
    return h ^ h >> 32;
}
