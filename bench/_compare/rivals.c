/* Times the matrix product of a library that package bench compares with.
 *
 *   rivals openblas|blis|onednn
 *
 * prints {"ready":true} once the library is loaded, then answers each line
 *
 *   gemm TRANSA TRANSB M N K MIN_NS        (TRANSx is 0 or 1, row-major)
 *
 * with {"ns":X}: the time of a call, from as many calls as take MIN_NS. The
 * first line of a shape is preceded by a call that is not timed.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

typedef void (*cblas_sgemm_t)(int order, int ta, int tb, int m, int n, int k, float alpha, const float *a, int lda,
                              const float *b, int ldb, float beta, float *c, int ldc);
typedef int (*dnnl_sgemm_t)(char ta, char tb, int64_t m, int64_t n, int64_t k, float alpha, const float *a, int64_t lda,
                            const float *b, int64_t ldb, float beta, float *c, int64_t ldc);

static cblas_sgemm_t cblas;
static dnnl_sgemm_t dnnl;

static struct {
    int ta, tb, m, n, k;
    float *a, *b, *c;
} p;

static void call(void)
{
    int lda = p.ta ? p.m : p.k, ldb = p.tb ? p.k : p.n;
    if (cblas)
        cblas(101, p.ta ? 112 : 111, p.tb ? 112 : 111, p.m, p.n, p.k, 1, p.a, lda, p.b, ldb, 0, p.c, p.n);
    else
        dnnl(p.ta ? 'T' : 'N', p.tb ? 'T' : 'N', p.m, p.n, p.k, 1, p.a, lda, p.b, ldb, 0, p.c, p.n);
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1e9 + t.tv_nsec;
}

/* filled returns n numbers that lie as ours do: many of them on huge pages. */
static float *filled(size_t n)
{
    const size_t huge = 2 << 20;
    size_t size = n * sizeof(float), align = size < huge ? 64 : huge;
    float *x = aligned_alloc(align, (size + align) / align * align);
    if (!x) {
        fprintf(stderr, "rivals: out of memory\n");
        exit(1);
    }
    if (align == huge)
        madvise(x, size / huge * huge, MADV_HUGEPAGE);
    for (size_t i = 0; i < n; i++)
        x[i] = (float)(i * 7 % 23) / 11 - 1;
    return x;
}

static void *load(const char *const *names)
{
    for (; *names; names++) {
        void *h = dlopen(*names, RTLD_NOW | RTLD_LOCAL);
        if (h)
            return h;
    }
    return NULL;
}

int main(int argc, char **argv)
{
    static const char *const openblas[] = {"libopenblas.so.0", "libopenblas.so", NULL};
    static const char *const blis[] = {"libblis.so.4", "libblis.so.5", "libblis.so", NULL};
    static const char *const onednn[] = {"libdnnl.so.3", "libdnnl.so.2", "libdnnl.so", NULL};
    const char *name = argc == 2 ? argv[1] : "";
    void *h = NULL;
    if (!strcmp(name, "openblas"))
        h = load(openblas);
    else if (!strcmp(name, "blis"))
        h = load(blis);
    else if (!strcmp(name, "onednn"))
        h = load(onednn);
    if (h) {
        cblas = strcmp(name, "onednn") ? (cblas_sgemm_t)dlsym(h, "cblas_sgemm") : NULL;
        dnnl = (dnnl_sgemm_t)dlsym(h, "dnnl_sgemm");
    }
    if (!cblas && !dnnl) {
        printf("{\"ready\":false}\n");
        return 0;
    }
    printf("{\"ready\":true}\n");
    fflush(stdout);

    char line[256];
    while (fgets(line, sizeof line, stdin)) {
        int ta, tb, m, n, k;
        double min_ns;
        if (sscanf(line, "gemm %d %d %d %d %d %lf", &ta, &tb, &m, &n, &k, &min_ns) != 6 || m < 1 || n < 1 || k < 1) {
            fprintf(stderr, "rivals: bad request: %s", line);
            return 1;
        }
        if (!p.a || p.ta != ta || p.tb != tb || p.m != m || p.n != n || p.k != k) {
            free(p.a), free(p.b), free(p.c);
            p.ta = ta, p.tb = tb, p.m = m, p.n = n, p.k = k;
            p.a = filled((size_t)m * k), p.b = filled((size_t)k * n), p.c = filled((size_t)m * n);
            call();
        }
        double start = now(), t = start;
        long calls = 0, batch = 1;
        do {
            for (long i = 0; i < batch; i++)
                call();
            calls += batch;
            t = now();
            if (t - start < min_ns / 8)
                batch *= 2;
        } while (t - start < min_ns);
        printf("{\"ns\":%.1f}\n", (t - start) / calls);
        fflush(stdout);
    }
    return 0;
}
