/* Margins and parallelism of points, from the products between them. */
#include "analyses/population_geometry.h"
#include "math/linear.h"

#define MOST_POINTS     24
#define MOST_PAIRS      (MOST_POINTS * MOST_POINTS / 4)
#define MOST_ITERATIONS 1000
#define MOST_SIDE       8

/* ---- the distance between hulls ----
 * It is the length of the shortest vector in the hull of all differences between the sets. */

typedef struct hull {
    int n;                                   /* differences */
    int plus[MOST_PAIRS], minus[MOST_PAIRS]; /* points of each */
    const double *k;
    int n_points;
    int n_active; /* differences that the shortest vector so far is made of */
    int active[MOST_PAIRS];
    double weight[MOST_PAIRS];
} hull;

static double product(const hull *h, int i, int j)
{
    const double *k = h->k;
    int n = h->n_points;
    return k[h->plus[i] * n + h->plus[j]] - k[h->plus[i] * n + h->minus[j]] -
           k[h->minus[i] * n + h->plus[j]] + k[h->minus[i] * n + h->minus[j]];
}

/* Product of the present vector with difference i. */
static double with(const hull *h, int i)
{
    double sum = 0;
    for (int a = 0; a < h->n_active; a++)
        sum += h->weight[a] * product(h, h->active[a], i);
    return sum;
}

static double squared_length(const hull *h)
{
    double sum = 0;
    for (int a = 0; a < h->n_active; a++)
        sum += h->weight[a] * with(h, h->active[a]);
    return sum;
}

/* Weights of the shortest vector in the plane through the active differences. m: scratch */
static bool in_plane(const hull *h, double scale, double *m, double *y)
{
    int n = h->n_active;
    double sum = 0;
    for (int a = 0; a < n; a++) {
        for (int b = 0; b <= a; b++)
            m[a * n + b] = product(h, h->active[a], h->active[b]) + scale;
        m[a * n + a] += 1e-13 * scale;
        y[a] = scale;
    }
    if (!nissl__cholesky(n, m, n))
        return false;
    nissl__cholesky_solve(n, 1, m, n, y, 1);
    for (int a = 0; a < n; a++)
        sum += y[a];
    for (int a = 0; a < n; a++)
        y[a] /= sum;
    return true;
}

/* Moves to the shortest vector in the plane, dropping differences on the way whose weight would
 * become negative. */
static bool settle(hull *h, double scale, double *m)
{
    double y[MOST_PAIRS];
    for (;;) {
        double step = 1;
        int kept = 0;
        if (!in_plane(h, scale, m, y))
            return false;
        for (int a = 0; a < h->n_active; a++)
            if (y[a] < 1e-14)
                step = fmin(step, h->weight[a] / fmax(h->weight[a] - y[a], 1e-300));
        for (int a = 0; a < h->n_active; a++) {
            double moved = h->weight[a] + step * (y[a] - h->weight[a]);
            if (moved > 1e-14) {
                h->active[kept] = h->active[a];
                h->weight[kept++] = moved;
            }
        }
        bool whole = kept == h->n_active;
        h->n_active = kept;
        if (whole || kept < 2)
            return true;
    }
}

nissl_status nissl__hull_margin(const double *k, int n, uint64_t side_a, uint64_t side_b,
                                double *margin, nissl_error *err)
{
    hull *h = nissl__alloc(1, sizeof *h);
    double *m = nissl__alloc((size_t)MOST_PAIRS * MOST_PAIRS, sizeof *m), scale = 0;
    nissl_status status = NISSL_OK;
    int first = 0;
    if (!h || !m) {
        status = NISSL__NO_MEMORY(err, (size_t)MOST_PAIRS * MOST_PAIRS * sizeof *m);
        goto done;
    }
    h->k = k;
    h->n_points = n;
    for (int i = 0; i < n; i++)
        for (int j = 0; j < n; j++)
            if (side_a >> i & 1 && side_b >> j & 1 && h->n < MOST_PAIRS) {
                h->plus[h->n] = i;
                h->minus[h->n++] = j;
            }
    for (int i = 0; i < h->n; i++) {
        scale = fmax(scale, product(h, i, i));
        if (product(h, i, i) < product(h, first, first))
            first = i;
    }
    h->n_active = 1;
    h->active[0] = first;
    h->weight[0] = 1;
    for (int iteration = 0; iteration < MOST_ITERATIONS && scale > 0; iteration++) {
        double length = squared_length(h), least = INFINITY;
        int next = 0;
        bool there = false;
        for (int i = 0; i < h->n; i++) {
            double p = with(h, i);
            if (p < least) {
                least = p;
                next = i;
            }
        }
        for (int a = 0; a < h->n_active; a++)
            there = there || h->active[a] == next;
        if (there || least > length - 1e-12 * scale || h->n_active == MOST_PAIRS)
            break;
        h->active[h->n_active] = next;
        h->weight[h->n_active++] = 0;
        if (!settle(h, scale, m))
            break;
    }
    *margin = .5 * sqrt(fmax(squared_length(h), 0));

done:
    nissl__free(h);
    nissl__free(m);
    return status;
}

/* ---- parallelism ---- */

double nissl__parallelism(const double *k, int n, uint64_t side_a, uint64_t side_b)
{
    int a[64], b[64], order[MOST_SIDE], turn[MOST_SIDE] = {0}, n_a = 0, n_b = 0;
    double length[MOST_SIDE][MOST_SIDE], best = -INFINITY;
    for (int i = 0; i < n; i++) {
        if (side_a >> i & 1)
            a[n_a++] = i;
        if (side_b >> i & 1)
            b[n_b++] = i;
    }
    if (n_a != n_b || n_a < 2 || n_a > MOST_SIDE)
        return NAN;
    for (int i = 0; i < n_a; i++) {
        order[i] = i;
        for (int j = 0; j < n_a; j++)
            length[i][j] =
                sqrt(fmax(k[a[i] * n + a[i]] + k[b[j] * n + b[j]] - 2 * k[a[i] * n + b[j]], 0));
    }
    for (int i = 0; i < n_a;) { /* all pairings, by Heap's exchanges */
        if (i == 0) {
            double sum = 0;
            for (int p = 1; p < n_a; p++)
                for (int q = 0; q < p; q++) {
                    int bp = b[order[p]], bq = b[order[q]];
                    double product =
                        k[bp * n + bq] - k[bp * n + a[q]] - k[a[p] * n + bq] + k[a[p] * n + a[q]];
                    sum += product / (length[p][order[p]] * length[q][order[q]]);
                }
            best = fmax(best, sum / (n_a * (n_a - 1) / 2)); /* NaN: equal means, no difference */
        }
        if (turn[i] < i) {
            int with = i % 2 ? turn[i] : 0, swap = order[with];
            order[with] = order[i];
            order[i] = swap;
            turn[i]++;
            i = 0;
        } else {
            turn[i++] = 0;
        }
    }
    return isinf(best) ? NAN : best;
}
