/* Indices of one tuning curve over the numeric values of a factor. */
#include "analyses/tuning.h"

void nissl_tuning_circular(const double *curve, const double *value, int64_t n, double period,
                           double *preferred, double *selectivity)
{
    const double turn = 6.283185307179586477;
    double x = 0, y = 0, total = 0, length, angle;
    int64_t n_means = 0;
    for (int64_t k = 0; k < n; k++) {
        if (isnan(curve[k]))
            continue;
        double r = curve[k] < 0 ? 0 : curve[k];
        x += r * cos(turn * value[k] / period);
        y += r * sin(turn * value[k] / period);
        total += r;
        n_means++;
    }
    length = n_means < 2 ? NAN : sqrt(x * x + y * y) / total; /* 0 / 0 = NaN for a silent unit */
    angle = atan2(y, x) * period / turn;
    if (angle < 0)
        angle += period;
    if (angle >= period) /* -tiny + period rounds to period */
        angle = 0;
    if (selectivity)
        *selectivity = length;
    if (preferred)
        *preferred = length >= 1e-9 ? angle : NAN;
}

/* The highest mean (the lowest value of equals) and the levels next to it in value; -1 if none. */
typedef struct peak_levels {
    int64_t top, below, above;
    bool flat;
} peak_levels;

static peak_levels find_peak(const double *curve, const double *value, int64_t n)
{
    peak_levels peak = {-1, -1, -1, true};
    for (int64_t k = 0; k < n; k++) {
        if (isnan(curve[k]))
            continue;
        if (peak.top >= 0 && curve[k] != curve[peak.top])
            peak.flat = false;
        if (peak.top < 0 || curve[k] > curve[peak.top] ||
            (curve[k] == curve[peak.top] && value[k] < value[peak.top]))
            peak.top = k;
    }
    for (int64_t k = 0; k < n && peak.top >= 0; k++) {
        if (isnan(curve[k]))
            continue;
        if (value[k] < value[peak.top] && (peak.below < 0 || value[k] > value[peak.below]))
            peak.below = k;
        if (value[k] > value[peak.top] && (peak.above < 0 || value[k] < value[peak.above]))
            peak.above = k;
    }
    return peak;
}

void nissl_tuning_peak(const double *curve, const double *value, int64_t n, bool logarithmic,
                       double *preferred, double *bandwidth)
{
    peak_levels peak = find_peak(curve, value, n);
    double centre = NAN, width = NAN;
    if (peak.top < 0 || peak.flat || !(curve[peak.top] > 0))
        goto done;
    centre = value[peak.top];
    if (logarithmic && !(value[peak.top] > 0)) {
        centre = NAN;
        goto done;
    }
    if (peak.below < 0 || peak.above < 0 || !(curve[peak.below] > 0) || !(curve[peak.above] > 0) ||
        (logarithmic && !(value[peak.below] > 0)))
        goto done;
    /* The parabola through (-l, f) and (r, g) and the origin, the peak's own level. */
    double at = logarithmic ? log(value[peak.top]) : value[peak.top];
    double l = at - (logarithmic ? log(value[peak.below]) : value[peak.below]);
    double r = (logarithmic ? log(value[peak.above]) : value[peak.above]) - at;
    double f = log(curve[peak.below] / curve[peak.top]);
    double g = log(curve[peak.above] / curve[peak.top]);
    double bend = (f / l + g / r) / (l + r); /* < 0 unless all three are equal */
    double slope = g / r - bend * r;
    if (!(bend < 0))
        goto done;
    double sigma = sqrt(-0.5 / bend);
    at -= slope / (2 * bend);
    centre = logarithmic ? exp(at) : at;
    width = 2 * sqrt(2 * log(2)) * sigma / (logarithmic ? log(2) : 1);
done:
    if (preferred)
        *preferred = centre;
    if (bandwidth)
        *bandwidth = width;
}

nissl_status nissl_tuning_level_values(const nissl_factor *factor, double *value, nissl_error *err)
{
    for (int i = 0; i < factor->n_levels; i++)
        if (!nissl__number_read(factor->levels[i], &value[i]) || !isfinite(value[i]))
            return NISSL__FAIL(err, NISSL_ERR_TYPE, "factor %s: level %d, \"%s\", is not a number",
                               factor->name, i, factor->levels[i]);
    return NISSL_OK;
}
