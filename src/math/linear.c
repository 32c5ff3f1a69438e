/* BLAS and LAPACK behind row-major functions. */
#include "math/linear.h"

#include <cblas.h>
#include <limits.h>

/* LAPACK is Fortran: matrices by columns, arguments by address, lengths of texts at the end. A
 * row-major matrix is its transpose there. */
extern void dsyevd_(const char *jobz, const char *uplo, const int *n, double *a, const int *lda,
                    double *w, double *work, const int *lwork, int *iwork, const int *liwork,
                    int *info, size_t, size_t);
extern void dgesdd_(const char *jobz, const int *m, const int *n, double *a, const int *lda,
                    double *s, double *u, const int *ldu, double *vt, const int *ldvt, double *work,
                    const int *lwork, int *iwork, int *info, size_t);
extern void dpotrf_(const char *uplo, const int *n, double *a, const int *lda, int *info, size_t);

static void one_thread(void)
{
    if (openblas_get_num_threads() != 1)
        openblas_set_num_threads(1);
}

/* Nothing to sum: c = beta c. BLAS would print that it does not like a stride of 0. */
static void scale(int64_t m, int64_t n, double beta, double *c, int64_t ldc)
{
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < n; j++)
            c[i * ldc + j] = beta == 0 ? 0 : beta * c[i * ldc + j];
}

void nissl__matmul(bool transpose_a, bool transpose_b, int64_t m, int64_t n, int64_t k,
                   double alpha, const double *a, int64_t lda, const double *b, int64_t ldb,
                   double beta, double *c, int64_t ldc)
{
    if (m < 1 || n < 1 || k < 1) {
        scale(m, n, beta, c, ldc);
        return;
    }
    one_thread();
    cblas_dgemm(CblasRowMajor, transpose_a ? CblasTrans : CblasNoTrans,
                transpose_b ? CblasTrans : CblasNoTrans, (blasint)m, (blasint)n, (blasint)k, alpha,
                a, (blasint)lda, b, (blasint)ldb, beta, c, (blasint)ldc);
}

void nissl__matmul_self(bool transpose, int64_t n, int64_t k, double alpha, const double *a,
                        int64_t lda, double beta, double *c, int64_t ldc)
{
    if (n < 1 || k < 1) {
        scale(n, n, beta, c, ldc);
        return;
    }
    one_thread();
    cblas_dsyrk(CblasRowMajor, CblasLower, transpose ? CblasTrans : CblasNoTrans, (blasint)n,
                (blasint)k, alpha, a, (blasint)lda, beta, c, (blasint)ldc);
}

void nissl__mirror(double *c, int64_t n, int64_t ldc)
{
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < i; j++)
            c[j * ldc + i] = c[i * ldc + j];
}

void nissl__matvec(bool transpose, int64_t m, int64_t n, const double *a, int64_t lda,
                   const double *x, double *y)
{
    if (m < 1 || n < 1) {
        scale(1, transpose ? n : m, 0, y, 1);
        return;
    }
    one_thread();
    cblas_dgemv(CblasRowMajor, transpose ? CblasTrans : CblasNoTrans, (blasint)m, (blasint)n, 1, a,
                (blasint)lda, x, 1, 0, y, 1);
}

double nissl__dot(const double *a, const double *b, int64_t n)
{
    double sum = 0;
    one_thread();
    for (int64_t at = 0; at < n; at += INT_MAX / 2)
        sum += cblas_ddot((blasint)NISSL__MIN(n - at, INT_MAX / 2), a + at, 1, b + at, 1);
    return sum;
}

/* Whether the entry of largest magnitude, the first of equals, is negative. */
static bool negative(const double *v, int64_t n)
{
    int64_t best = 0;
    for (int64_t i = 1; i < n; i++)
        if (fabs(v[i]) > fabs(v[best]))
            best = i;
    return n > 0 && v[best] < 0;
}

static void negate(double *v, int64_t n, int64_t stride)
{
    for (int64_t i = 0; i < n; i++)
        v[i * stride] = -v[i * stride];
}

nissl_status nissl__eigen(int64_t n, double *a, double *value, bool vectors, nissl_error *err)
{
    nissl_status status = NISSL_OK;
    int order = (int)n, info = 0, lwork = -1, liwork = -1, iwant = 0;
    double want = 0, *work = NULL;
    int *iwork = NULL;
    const char *job = vectors ? "V" : "N";
    if (n < 1)
        return NISSL_OK;
    one_thread();
    dsyevd_(job, "U", &order, a, &order, value, &want, &lwork, &iwant, &liwork, &info, 1, 1);
    lwork = (int)want;
    liwork = iwant;
    work = nissl__alloc((size_t)lwork, sizeof *work);
    iwork = nissl__alloc((size_t)liwork, sizeof *iwork);
    if (!work || !iwork) {
        status = NISSL__NO_MEMORY(err, (size_t)lwork * sizeof *work);
        goto done;
    }
    dsyevd_(job, "U", &order, a, &order, value, work, &lwork, iwork, &liwork, &info, 1, 1);
    if (info != 0) {
        status = NISSL__FAIL(err, NISSL_ERR_NOT_CONVERGED,
                             "the eigenvalues of a matrix of order %d did not converge (%d)", order,
                             info);
        goto done;
    }
    for (int64_t i = 0, j = n - 1; i < j; i++, j--) {
        double swap = value[i];
        value[i] = value[j];
        value[j] = swap;
        for (int64_t k = 0; vectors && k < n; k++) {
            swap = a[i * n + k];
            a[i * n + k] = a[j * n + k];
            a[j * n + k] = swap;
        }
    }
    for (int64_t i = 0; vectors && i < n; i++)
        if (negative(a + i * n, n))
            negate(a + i * n, n, 1);

done:
    nissl__free(work);
    nissl__free(iwork);
    return status;
}

nissl_status nissl__svd_raw(int64_t m, int64_t n, double *a, double *s, double *u, double *v,
                            nissl_error *err)
{
    nissl_status status = NISSL_OK;
    int rows = (int)n, columns = (int)m, k = (int)NISSL__MIN(m, n), info = 0, lwork = -1;
    double want = 0, *work = NULL;
    int *iwork = NULL;
    const char *job = u ? "S" : "N";
    if (m < 1 || n < 1)
        return NISSL_OK;
    one_thread();
    iwork = nissl__alloc(8 * (size_t)k, sizeof *iwork);
    if (!iwork) {
        status = NISSL__NO_MEMORY(err, 8 * (size_t)k * sizeof *iwork);
        goto done;
    }
    dgesdd_(job, &rows, &columns, a, &rows, s, v, &rows, u, &k, &want, &lwork, iwork, &info, 1);
    lwork = (int)want;
    work = nissl__alloc((size_t)lwork, sizeof *work);
    if (!work) {
        status = NISSL__NO_MEMORY(err, (size_t)lwork * sizeof *work);
        goto done;
    }
    dgesdd_(job, &rows, &columns, a, &rows, s, v, &rows, u, &k, work, &lwork, iwork, &info, 1);
    if (info != 0) {
        status = NISSL__FAIL(err, NISSL_ERR_NOT_CONVERGED,
                             "the singular values of a %lld x %lld matrix did not converge (%d)",
                             (long long)m, (long long)n, info);
        goto done;
    }

done:
    nissl__free(work);
    nissl__free(iwork);
    return status;
}

nissl_status nissl__svd(int64_t m, int64_t n, double *a, double *s, double *u, double *v,
                        nissl_error *err)
{
    int64_t k = NISSL__MIN(m, n);
    nissl_status status = nissl__svd_raw(m, n, a, s, u, v, err);
    for (int64_t i = 0; u && i < k && status == NISSL_OK; i++)
        if (negative(v + i * n, n)) {
            negate(v + i * n, n, 1);
            negate(u + i, m, k);
        }
    return status;
}

bool nissl__cholesky(int64_t n, double *a, int64_t lda)
{
    int order = (int)n, stride = (int)lda, info = 0;
    one_thread();
    if (n > 0)
        dpotrf_("U", &order, a, &stride, &info, 1);
    return info == 0;
}

void nissl__cholesky_forward(int64_t n, int64_t k, const double *l, int64_t ldl, double *b,
                             int64_t ldb)
{
    if (n < 1 || k < 1)
        return;
    one_thread();
    cblas_dtrsm(CblasRowMajor, CblasLeft, CblasLower, CblasNoTrans, CblasNonUnit, (blasint)n,
                (blasint)k, 1, l, (blasint)ldl, b, (blasint)ldb);
}

void nissl__cholesky_solve(int64_t n, int64_t k, const double *l, int64_t ldl, double *b,
                           int64_t ldb)
{
    if (n < 1 || k < 1)
        return;
    nissl__cholesky_forward(n, k, l, ldl, b, ldb);
    cblas_dtrsm(CblasRowMajor, CblasLeft, CblasLower, CblasTrans, CblasNonUnit, (blasint)n,
                (blasint)k, 1, l, (blasint)ldl, b, (blasint)ldb);
}
