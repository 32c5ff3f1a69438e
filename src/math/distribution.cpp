/* The only C++ here: Boost.Math behind plain functions. Nothing throws. */
#include <cmath>
#include <limits>

#include <boost/math/special_functions/beta.hpp>

#include "math/distribution.h"

namespace
{
using boost::math::policies::domain_error;
using boost::math::policies::evaluation_error;
using boost::math::policies::ignore_error;
using boost::math::policies::overflow_error;
using boost::math::policies::pole_error;
using boost::math::policies::policy;
using boost::math::policies::promote_double;

/* double throughout: long double would be ten times slower for digits that nobody reads. */
using quiet =
    policy<domain_error<ignore_error>, pole_error<ignore_error>, overflow_error<ignore_error>,
           evaluation_error<ignore_error>, promote_double<false>>;

const double nothing = std::numeric_limits<double>::quiet_NaN();
} // namespace

extern "C" double nissl__f_upper(double f, double d1, double d2)
{
    if (!(f >= 0) || !(d1 > 0) || !(d2 > 0) || std::isinf(d1) || std::isinf(d2))
        return nothing;
    if (std::isinf(f))
        return 0;
    /* Of the two forms of the incomplete beta function the one whose argument is the smaller. */
    double x = d1 * f, sum = x + d2;
    if (x < d2)
        return boost::math::ibetac(d1 / 2, d2 / 2, x / sum, quiet());
    return boost::math::ibeta(d2 / 2, d1 / 2, d2 / sum, quiet());
}
