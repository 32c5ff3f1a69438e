/*
 * Probability distributions, from Boost.Math. An impossible argument gives NaN.
 */
#ifndef NISSL__DISTRIBUTION_H
#define NISSL__DISTRIBUTION_H

#ifdef __cplusplus
extern "C" {
#endif

/* Probability that an F variable with d1 and d2 degrees of freedom exceeds f. */
double nissl__f_upper(double f, double d1, double d2);

#ifdef __cplusplus
}
#endif
#endif
