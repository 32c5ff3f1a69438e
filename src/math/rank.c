/* Ranks and rank correlation. */
#include "math/rank.h"

#define DIGIT   11
#define N_DIGIT 6 /* of 11 bits in 64 */
#define RADIX   (1 << DIGIT)

/* A double as a number of the same order; -0 and 0 are equal. */
static uint64_t sortable(double x)
{
    uint64_t bits;
    x += 0.0;
    memcpy(&bits, &x, sizeof bits);
    return bits >> 63 ? ~bits : bits | (uint64_t)1 << 63;
}

void nissl__order(const double *x, int64_t n, uint32_t *order, uint64_t *scratch)
{
    uint64_t *key = scratch, *key_to = scratch + n;
    uint32_t *index = order, *index_to = (uint32_t *)(scratch + 2 * n);
    uint32_t count[N_DIGIT][RADIX];
    memset(count, 0, sizeof count);
    for (int64_t i = 0; i < n; i++) {
        key[i] = sortable(x[i]);
        index[i] = (uint32_t)i;
        for (int d = 0; d < N_DIGIT; d++)
            count[d][key[i] >> (d * DIGIT) & (RADIX - 1)]++;
    }
    for (int d = 0; d < N_DIGIT; d++) {
        uint32_t sum = 0;
        if (n > 0 && count[d][key[0] >> (d * DIGIT) & (RADIX - 1)] == n)
            continue; /* all have the same digit */
        for (int b = 0; b < RADIX; b++) {
            uint32_t here = count[d][b];
            count[d][b] = sum;
            sum += here;
        }
        for (int64_t i = 0; i < n; i++) {
            uint32_t to = count[d][key[i] >> (d * DIGIT) & (RADIX - 1)]++;
            key_to[to] = key[i];
            index_to[to] = index[i];
        }
        uint64_t *swap_key = key;
        uint32_t *swap_index = index;
        key = key_to;
        key_to = swap_key;
        index = index_to;
        index_to = swap_index;
    }
    if (index != order)
        memcpy(order, index, (size_t)n * sizeof *order);
}

void nissl__rank(const double *x, int64_t n, double *rank, uint64_t *scratch)
{
    uint32_t *order = (uint32_t *)rank; /* ranks are written behind what is read of it */
    nissl__order(x, n, order, scratch);
    memcpy(scratch, order, (size_t)n * sizeof *order);
    order = (uint32_t *)scratch;
    for (int64_t i = 0, j; i < n; i = j) {
        for (j = i + 1; j < n && x[order[j]] == x[order[i]]; j++)
            ;
        for (int64_t k = i; k < j; k++)
            rank[order[k]] = 0.5 * (double)(i + j + 1);
    }
}

double nissl__select(double *x, int64_t n, int64_t k)
{
    int64_t low = 0, high = n - 1;
    while (low < high) {
        double pivot = x[low + (high - low) / 2];
        int64_t i = low, j = high;
        while (i <= j) {
            while (x[i] < pivot)
                i++;
            while (x[j] > pivot)
                j--;
            if (i <= j) {
                double swap = x[i];
                x[i++] = x[j];
                x[j--] = swap;
            }
        }
        if (k <= j)
            high = j;
        else if (k >= i)
            low = i;
        else
            break;
    }
    return x[k];
}

static int64_t choose2(int64_t n)
{
    return n * (n - 1) / 2;
}

/* Sorts y by merging and counts the exchanges, pairs i < j with y_i > y_j. */
static int64_t count_exchanges(double *y, double *scratch, int64_t n)
{
    int64_t exchanges = 0;
    double *from = y, *to = scratch;
    for (int64_t width = 1; width < n; width *= 2) {
        for (int64_t low = 0; low < n; low += 2 * width) {
            int64_t middle = NISSL__MIN(low + width, n), high = NISSL__MIN(low + 2 * width, n);
            int64_t a = low, b = middle, k = low;
            while (a < middle && b < high) {
                if (from[a] <= from[b]) {
                    to[k++] = from[a++];
                } else {
                    exchanges += middle - a;
                    to[k++] = from[b++];
                }
            }
            while (a < middle)
                to[k++] = from[a++];
            while (b < high)
                to[k++] = from[b++];
        }
        double *swap = from;
        from = to;
        to = swap;
    }
    if (from != y)
        memcpy(y, from, (size_t)n * sizeof *y);
    return exchanges;
}

nissl__pairs nissl__count_pairs(const double *x, const double *y, int64_t n, uint64_t *scratch)
{
    nissl__pairs p = {.total = choose2(n)};
    double *xs = (double *)(scratch + 3 * n), *ys = (double *)(scratch + 5 * n);
    uint32_t *by_y = (uint32_t *)(scratch + 4 * n), *by_x = by_y + n;
    /* By x, and by y where x are equal: sort by y, then stably by x. */
    nissl__order(y, n, by_y, scratch);
    for (int64_t i = 0; i < n; i++)
        xs[i] = x[by_y[i]];
    nissl__order(xs, n, by_x, scratch);
    for (int64_t i = 0; i < n; i++) {
        ys[i] = y[by_y[by_x[i]]];
        xs[i] = x[by_y[by_x[i]]];
    }
    for (int64_t i = 0, j; i < n; i = j) {
        for (j = i + 1; j < n && xs[j] == xs[i]; j++)
            ;
        p.tied_x += choose2(j - i);
        for (int64_t k = i, l; k < j; k = l) {
            for (l = k + 1; l < j && ys[l] == ys[k]; l++)
                ;
            p.tied_both += choose2(l - k);
        }
    }
    p.discordant = count_exchanges(ys, (double *)scratch, n);
    for (int64_t i = 0, j; i < n; i = j) {
        for (j = i + 1; j < n && ys[j] == ys[i]; j++)
            ;
        p.tied_y += choose2(j - i);
    }
    p.concordant = p.total - p.tied_x - p.tied_y + p.tied_both - p.discordant;
    return p;
}
