/*
 * What this build is and what it runs on. The libraries are asked themselves, so that the answer
 * is about those that run and not about those that were there when this was compiled.
 */
#include <jansson.h>
#include <stdio.h>

#include <cblas.h>
#include <dnnl.h>
#include <hdf5.h>
#include <jpeglib.h>
#include <png.h>
#include <zlib.h>
#if defined(__x86_64__) || defined(__i386__)
#include <cpuid.h>
#endif

#include "foundation/build_config.h"
#include "foundation/foundation.h"

const char *nissl_version(void)
{
    return NISSL_VERSION;
}

/* ---- the processor ---- */

#if defined(__x86_64__) || defined(__i386__)
static void processor_name(char name[49])
{
    unsigned words[12] = {0};
    unsigned highest = __get_cpuid_max(0x80000000u, NULL);
    if (highest >= 0x80000004u)
        for (unsigned i = 0; i < 3; i++)
            __get_cpuid(0x80000002u + i, &words[4 * i], &words[4 * i + 1], &words[4 * i + 2],
                        &words[4 * i + 3]);
    memcpy(name, words, sizeof words);
    name[48] = '\0';
    for (size_t n = strlen(name); n > 0 && name[n - 1] == ' '; n--)
        name[n - 1] = '\0';
}

static bool has_avx2(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}

static bool has_avx512(void)
{
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
}

static json_t *instruction_sets(void)
{
    json_t *sets = json_array();
#define SET(name)                                                                                  \
    if (__builtin_cpu_supports(name))                                                              \
    json_array_append_new(sets, json_string(name))
    SET("sse4.2");
    SET("avx");
    SET("avx2");
    SET("fma");
    SET("avx512f");
    SET("avx512bw");
    SET("avx512dq");
    SET("avx512vl");
    SET("avx512vnni");
#undef SET
    return sets;
}
#else
static void processor_name(char name[49])
{
    strcpy(name, "unknown");
}

static bool has_avx2(void)
{
    return false;
}

static bool has_avx512(void)
{
    return false;
}

static json_t *instruction_sets(void)
{
    return json_array();
}
#endif

/* ---- the libraries ---- */

static const char *dnnl_isa_name(dnnl_cpu_isa_t isa)
{
    switch ((int)isa) {
    case dnnl_cpu_isa_all: return "all";
    case dnnl_cpu_isa_sse41: return "sse4.1";
    case dnnl_cpu_isa_avx: return "avx";
    case dnnl_cpu_isa_avx2: return "avx2";
    case dnnl_cpu_isa_avx2_vnni: return "avx2_vnni";
    case dnnl_cpu_isa_avx512_core: return "avx512_core";
    case dnnl_cpu_isa_avx512_core_vnni: return "avx512_core_vnni";
    case dnnl_cpu_isa_avx512_core_bf16: return "avx512_core_bf16";
    case dnnl_cpu_isa_avx512_core_amx: return "avx512_core_amx";
    default: return "other";
    }
}

static const char *dnnl_runtime_name(unsigned runtime)
{
    switch (runtime) {
    case DNNL_RUNTIME_SEQ: return "sequential";
    case DNNL_RUNTIME_OMP: return "OpenMP";
    case DNNL_RUNTIME_TBB: return "TBB";
    case DNNL_RUNTIME_THREADPOOL: return "threadpool";
    default: return "other";
    }
}

/* The width of the vectors that an OpenBLAS core uses; 0 for one that is not listed. */
static int blas_core_bits(const char *core)
{
    static const struct {
        const char *name;
        int bits;
    } cores[] = {
        {"Prescott", 128},     {"Core2", 128},          {"Penryn", 128},     {"Dunnington", 128},
        {"Atom", 128},         {"Nehalem", 128},        {"Katmai", 128},     {"Coppermine", 128},
        {"Northwood", 128},    {"Banias", 128},         {"Athlon", 128},     {"Opteron", 128},
        {"Opteron_SSE3", 128}, {"Barcelona", 128},      {"Bobcat", 128},     {"Nano", 128},
        {"Sandybridge", 256},  {"Bulldozer", 256},      {"Piledriver", 256}, {"Steamroller", 256},
        {"Excavator", 256},    {"Haswell", 256},        {"Zen", 256},        {"SkylakeX", 512},
        {"Cooperlake", 512},   {"SapphireRapids", 512},
    };
    for (size_t i = 0; i < sizeof cores / sizeof *cores; i++)
        if (strcmp(cores[i].name, core) == 0)
            return cores[i].bits;
    return 0;
}

char *nissl__blas_warning(const char *core, int cpu_bits, const char *coretype, const char *l2_size)
{
    int core_bits = blas_core_bits(core);
    bool slow = core_bits && core_bits < cpu_bits;
    if (slow && coretype && *coretype)
        return nissl__format("OpenBLAS runs its %s kernels (%d-bit) on a %d-bit CPU because "
                             "OPENBLAS_CORETYPE=%s is set%s%s%s; unset it for full speed",
                             core, core_bits, cpu_bits, coretype,
                             l2_size && *l2_size ? " (and OPENBLAS_L2_SIZE=" : "",
                             l2_size && *l2_size ? l2_size : "", l2_size && *l2_size ? ")" : "");
    if (slow)
        return nissl__format("OpenBLAS runs its %s kernels (%d-bit) on a %d-bit CPU", core,
                             core_bits, cpu_bits);
    if (l2_size && *l2_size)
        return nissl__format("OPENBLAS_L2_SIZE=%s replaces the cache size that OpenBLAS would "
                             "measure; unset it for full speed",
                             l2_size);
    return NULL;
}

static json_t *warnings(void)
{
    json_t *list = json_array();
    char *line = nissl__blas_warning(openblas_get_corename(),
                                     has_avx512() ? 512
                                     : has_avx2() ? 256
                                                  : 128,
                                     getenv("OPENBLAS_CORETYPE"), getenv("OPENBLAS_L2_SIZE"));
    if (line)
        json_array_append_new(list, json_string(line));
    nissl__free(line);
    return list;
}

static json_t *libraries(void)
{
    const dnnl_version_t *dnnl = dnnl_version();
    unsigned major = 0, minor = 0, release = 0;
    char onednn[64], hdf5[64];
    snprintf(onednn, sizeof onednn, "%d.%d.%d", dnnl->major, dnnl->minor, dnnl->patch);
    H5dont_atexit(); /* before HDF5 is first used; src/recording/h5.c says why */
    H5get_libversion(&major, &minor, &release);
    snprintf(hdf5, sizeof hdf5, "%u.%u.%u", major, minor, release);
    return json_pack("{s:{s:s,s:s,s:s}, s:{s:s,s:s,s:i}, s:{s:s}, s:{s:s}, s:{s:s}, s:{s:s}, "
                     "s:{s:s}}",
                     "onednn", "version", onednn, "runtime", dnnl_runtime_name(dnnl->cpu_runtime),
                     "instruction_set", dnnl_isa_name(dnnl_get_effective_cpu_isa()), "openblas",
                     "configuration", openblas_get_config(), "core", openblas_get_corename(),
                     "threads", openblas_get_num_threads(), "hdf5", "version", hdf5, "jansson",
                     "version", jansson_version_str(), "libpng", "version",
                     png_get_libpng_ver(NULL), "libjpeg", "version", NISSL_JPEG_VERSION, "zlib",
                     "version", zlibVersion());
}

char *nissl_version_json(void)
{
    char processor[49];
    char *text = NULL;
    json_t *root = NULL;
    processor_name(processor);
    root = json_pack("{s:s, s:s, s:b, s:{s:s,s:s,s:s}, s:{s:s,s:o}, s:o, s:o}", "version",
                     NISSL_VERSION, "license", "Apache-2.0", "gpl", 0, "build", "compiler",
                     NISSL_COMPILER, "type", NISSL_BUILD_TYPE, "target", NISSL_TARGET, "cpu",
                     "name", processor, "instruction_sets", instruction_sets(), "libraries",
                     libraries(), "warnings", warnings());
    if (root)
        text = json_dumps(root, JSON_INDENT(2));
    json_decref(root);
    return text;
}
