/*
 * The summary kernels, written once with vector extensions and included by summary.c for each
 * instruction set with TARGET (a function attribute) and NAME(x) defined.
 */

/* One block of up to 64 positions for WIDTH adjacent units: lane sums in t0 .. t7. */
#define LANE(lane, V, I)                                                                           \
    do {                                                                                           \
        memcpy(&x_, p_ + (lane)*stride, sizeof x_);                                                \
        t##lane += x_;                                                                             \
        c_ -= (I)(x_ > zero_);                                                                     \
    } while (0)

#define MEAN_UNITS(V, I, D, WIDTH)                                                                 \
    for (; u + (WIDTH) <= n_units; u += (WIDTH)) {                                                 \
        const V zero_ = {0};                                                                       \
        V t0 = zero_, t1 = zero_, t2 = zero_, t3 = zero_;                                          \
        V t4 = zero_, t5 = zero_, t6 = zero_, t7 = zero_, x_;                                      \
        I c_ = {0};                                                                                \
        D sum_;                                                                                    \
        const float *p_ = block + u;                                                               \
        for (int64_t k = 0; k < n / 8; k++, p_ += 8 * stride) {                                    \
            LANE(0, V, I);                                                                         \
            LANE(1, V, I);                                                                         \
            LANE(2, V, I);                                                                         \
            LANE(3, V, I);                                                                         \
            LANE(4, V, I);                                                                         \
            LANE(5, V, I);                                                                         \
            LANE(6, V, I);                                                                         \
            LANE(7, V, I);                                                                         \
        }                                                                                          \
        if (n % 8 > 0)                                                                             \
            LANE(0, V, I);                                                                         \
        if (n % 8 > 1)                                                                             \
            LANE(1, V, I);                                                                         \
        if (n % 8 > 2)                                                                             \
            LANE(2, V, I);                                                                         \
        if (n % 8 > 3)                                                                             \
            LANE(3, V, I);                                                                         \
        if (n % 8 > 4)                                                                             \
            LANE(4, V, I);                                                                         \
        if (n % 8 > 5)                                                                             \
            LANE(5, V, I);                                                                         \
        if (n % 8 > 6)                                                                             \
            LANE(6, V, I);                                                                         \
        x_ = ((t0 + t4) + (t2 + t6)) + ((t1 + t5) + (t3 + t7));                                    \
        memcpy(&sum_, sum + u, sizeof sum_);                                                       \
        sum_ += __builtin_convertvector(x_, D);                                                    \
        memcpy(sum + u, &sum_, sizeof sum_);                                                       \
        if (active) {                                                                              \
            I a_;                                                                                  \
            memcpy(&a_, active + u, sizeof a_);                                                    \
            a_ += c_;                                                                              \
            memcpy(active + u, &a_, sizeof a_);                                                    \
        }                                                                                          \
    }

TARGET static void NAME(mean_units)(const float *x, int64_t n_units, int64_t n_positions,
                                    int64_t stride, double *sum, float *value, uint32_t *active)
{
    for (int64_t u = 0; u < n_units; u++)
        sum[u] = 0;
    if (active)
        memset(active, 0, (size_t)n_units * sizeof *active);
    for (int64_t first = 0; first < n_positions; first += 64) {
        const float *block = x + first * stride;
        int64_t n = NISSL__MIN(64, n_positions - first), u = 0;
#if WIDEST >= 16
        MEAN_UNITS(float_16, int_16, double_16, 16)
#endif
#if WIDEST >= 8
        MEAN_UNITS(float_8, int_8, double_8, 8)
#endif
        MEAN_UNITS(float_4, int_4, double_4, 4)
        for (; u < n_units; u++) {
            float t[8] = {0};
            uint32_t count = 0;
            for (int64_t i = 0; i < n; i++) {
                float v = block[i * stride + u];
                t[i % 8] += v;
                count += v > 0;
            }
            sum[u] += (double)(((t[0] + t[4]) + (t[2] + t[6])) + ((t[1] + t[5]) + (t[3] + t[7])));
            if (active)
                active[u] += count;
        }
    }
    for (int64_t u = 0; u < n_units; u++)
        value[u] = plain((float)(sum[u] / (double)n_positions));
}

/* x > m or x is NaN: take x. */
#define TAKE_MAX(m, x, I)                                                                          \
    do {                                                                                           \
        I take_ = (I)((x) > (m)) | (I)((x) != (x));                                                \
        I bits_ = (take_ & (I)(x)) | (~take_ & (I)(m));                                            \
        memcpy(&(m), &bits_, sizeof(m));                                                           \
    } while (0)

#define MAX_UNITS(V, I, WIDTH)                                                                     \
    for (; u + (WIDTH) <= n_units; u += (WIDTH)) {                                                 \
        const V zero_ = {0};                                                                       \
        V m_, x_;                                                                                  \
        I c_ = {0};                                                                                \
        const float *p_ = x + u;                                                                   \
        memcpy(&m_, p_, sizeof m_);                                                                \
        for (int64_t i = 0; i < n_positions; i++, p_ += stride) {                                  \
            memcpy(&x_, p_, sizeof x_);                                                            \
            TAKE_MAX(m_, x_, I);                                                                   \
            c_ -= (I)(x_ > zero_);                                                                 \
        }                                                                                          \
        memcpy(value + u, &m_, sizeof m_);                                                         \
        if (active)                                                                                \
            memcpy(active + u, &c_, sizeof c_);                                                    \
    }

TARGET static void NAME(max_units)(const float *x, int64_t n_units, int64_t n_positions,
                                   int64_t stride, float *value, uint32_t *active)
{
    int64_t u = 0;
#if WIDEST >= 16
    MAX_UNITS(float_16, int_16, 16)
#endif
#if WIDEST >= 8
    MAX_UNITS(float_8, int_8, 8)
#endif
    MAX_UNITS(float_4, int_4, 4)
    for (; u < n_units; u++) {
        float m = x[u];
        uint32_t count = 0;
        for (int64_t i = 0; i < n_positions; i++) {
            float v = x[i * stride + u];
            m = v > m || v != v ? v : m;
            count += v > 0;
        }
        value[u] = m;
        if (active)
            active[u] = count;
    }
    for (u = 0; u < n_units; u++)
        value[u] = plain(value[u]);
}

TARGET static void NAME(mean_positions)(const float *x, int64_t n_units, int64_t n_positions,
                                        int64_t stride, float *value, uint32_t *active)
{
    const float_8 zero = {0};
    for (int64_t u = 0; u < n_units; u++, x += stride) {
        double sum = 0;
        int_8 count = {0};
        for (int64_t first = 0; first < n_positions; first += 64) {
            int64_t n = NISSL__MIN(64, n_positions - first), i = 0;
            float_8 t = zero, v;
            float_4 half;
            for (; i + 8 <= n; i += 8) {
                memcpy(&v, x + first + i, sizeof v);
                t += v;
                count -= (int_8)(v > zero);
            }
            if (i < n) {
                v = zero;
                memcpy(&v, x + first + i, (size_t)(n - i) * sizeof *x);
                t += v;
                count -= (int_8)(v > zero);
            }
            half = __builtin_shufflevector(t, t, 0, 1, 2, 3) +
                   __builtin_shufflevector(t, t, 4, 5, 6, 7);
            half += __builtin_shufflevector(half, half, 2, 3, 0, 1);
            sum += (double)(half[0] + half[1]);
        }
        value[u] = plain((float)(sum / (double)n_positions));
        if (active) {
            uint32_t total = 0;
            for (int i = 0; i < 8; i++)
                total += (uint32_t)count[i];
            active[u] = total;
        }
    }
}

TARGET static void NAME(max_positions)(const float *x, int64_t n_units, int64_t n_positions,
                                       int64_t stride, float *value, uint32_t *active)
{
    const float_8 zero = {0};
    for (int64_t u = 0; u < n_units; u++, x += stride) {
        int_8 count = {0};
        float m = x[0];
        uint32_t total = 0;
        int64_t i = 0;
        if (n_positions >= 8) {
            float_8 best, v;
            memcpy(&best, x, sizeof best);
            for (; i + 8 <= n_positions; i += 8) {
                memcpy(&v, x + i, sizeof v);
                TAKE_MAX(best, v, int_8);
                count -= (int_8)(v > zero);
            }
            for (int k = 0; k < 8; k++) {
                m = best[k] > m || best[k] != best[k] ? best[k] : m;
                total += (uint32_t)count[k];
            }
        }
        for (; i < n_positions; i++) {
            m = x[i] > m || x[i] != x[i] ? x[i] : m;
            total += x[i] > 0;
        }
        value[u] = plain(m);
        if (active)
            active[u] = total;
    }
}

static const nissl__summary_kernels NAME(kernels) = {NAME(mean_units), NAME(max_units),
                                                     NAME(mean_positions), NAME(max_positions)};

#undef LANE
#undef MEAN_UNITS
#undef TAKE_MAX
#undef MAX_UNITS
