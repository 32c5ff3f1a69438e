/*
 * A fuzzer without coverage feedback that any compiler builds: seeds are mutated with a
 * counter-based generator, so that run n of seed s is the same input everywhere.
 *
 * usage: fuzz_NAME SEED_FILE_OR_FOLDER...
 * FUZZ_RUNS  mutated inputs after the seeds themselves (default 20000)
 * FUZZ_SEED  of the generator (default 1)
 * FUZZ_ONLY  make this run's input only, and write it to FUZZ_SAVE if that is set
 *
 * A crash, a sanitizer's report, an input that takes longer than 20 seconds or a peak of more than
 * 2 GiB resident is a failure; the number of the run is printed.
 */
#include <dirent.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "foundation/foundation.h"
#include "fuzz.h"

#define MOST_BYTES       (1u << 20)
#define MOST_SECONDS     20
#define MOST_RESIDENT_KB (2l << 20)

typedef struct input {
    uint8_t *data;
    size_t size;
} input;

typedef struct corpus {
    input *inputs;
    size_t n;
} corpus;

/* A stream of random numbers: one generator per run. */
typedef struct dice {
    uint64_t seed, run, index;
} dice;

static volatile sig_atomic_t current_run = -1; /* read by the handlers below */

void __sanitizer_set_death_callback(void (*callback)(void)) __attribute__((weak));

static void tell_run(void)
{
    char text[96];
    int n = snprintf(text, sizeof text, "fuzz: in run %d (FUZZ_ONLY=%d makes it again)\n",
                     (int)current_run, (int)current_run);
    if (n > 0 && write(STDERR_FILENO, text, (size_t)n) < 0)
        return;
}

static void on_signal(int number)
{
    static const char slow[] = "fuzz: one input took too long\n";
    if (number == SIGALRM && write(STDERR_FILENO, slow, sizeof slow - 1) < 0)
        _exit(1);
    tell_run();
    if (number == SIGALRM)
        _exit(1);
    signal(number, SIG_DFL);
    raise(number);
}

static uint64_t roll(dice *d, uint64_t n)
{
    return (uint64_t)nissl__random_below(d->seed, d->run, d->index++, (int64_t)n);
}

static bool corpus_add_file(corpus *c, const char *path)
{
    FILE *file = fopen(path, "rb");
    input in = {NULL, 0};
    input *inputs;
    if (!file)
        return false;
    in.data = malloc(MOST_BYTES);
    if (in.data)
        in.size = fread(in.data, 1, MOST_BYTES, file);
    fclose(file);
    inputs = realloc(c->inputs, (c->n + 1) * sizeof *inputs);
    if (!in.data || !inputs) {
        free(in.data);
        return false;
    }
    c->inputs = inputs;
    c->inputs[c->n++] = in;
    return true;
}

static bool corpus_add(corpus *c, const char *path)
{
    struct stat info;
    struct dirent **names = NULL;
    bool fine = true;
    int n;
    if (stat(path, &info) != 0)
        return false;
    if (!S_ISDIR(info.st_mode))
        return corpus_add_file(c, path);
    n = scandir(path, &names, NULL, alphasort);
    for (int i = 0; i < n; i++) {
        char *inside = nissl__format("%s/%s", path, names[i]->d_name);
        if (!inside || (names[i]->d_name[0] != '.' && !corpus_add(c, inside)))
            fine = false;
        nissl__free(inside);
        free(names[i]);
    }
    free(names);
    return fine && n >= 0;
}

/* Integers at which size arithmetic goes wrong. */
static uint64_t telling_number(dice *d)
{
    static const uint64_t numbers[] = {0,          1,
                                       0x7f,       0xff,
                                       0x7fff,     0xffff,
                                       0x7fffffff, 0x80000000,
                                       0xffffffff, (uint64_t)1 << 60,
                                       INT64_MAX,  (uint64_t)1 << 63,
                                       UINT64_MAX};
    return numbers[roll(d, sizeof numbers / sizeof *numbers)];
}

static void overwrite(uint8_t *data, size_t size, size_t at, uint64_t number, size_t width,
                      bool big)
{
    for (size_t i = 0; i < width && at + i < size; i++)
        data[at + i] = (uint8_t)(number >> (8 * (big ? width - 1 - i : i)));
}

/* The number as protocol buffers write it. */
static void overwrite_varint(uint8_t *data, size_t size, size_t at, uint64_t number)
{
    while (at < size) {
        data[at++] = (uint8_t)((number & 0x7f) | (number > 0x7f ? 0x80 : 0));
        number >>= 7;
        if (number == 0)
            break;
    }
}

/* Changes data, [size] of room MOST_BYTES, in one way; returns the new size. */
static size_t mutate(dice *d, const corpus *c, uint8_t *data, size_t size)
{
    size_t at = size ? roll(d, size) : 0;
    size_t n = size ? 1 + roll(d, NISSL__MIN(size - at, (size_t)64)) : 0;
    static const char digits[] = "0123456789-+.eE,;\n\"{}[]";
    if (size == 0 || roll(d, 16) == 0) { /* cross over with another seed */
        const input *other = &c->inputs[roll(d, c->n)];
        size_t from = other->size ? roll(d, other->size) : 0;
        size_t take = NISSL__MIN(other->size - from, (size_t)MOST_BYTES - at);
        memcpy(data + at, other->data + from, take);
        return at + take;
    }
    switch (roll(d, 9)) {
    case 0: /* flip a bit */ data[at] ^= (uint8_t)(1u << roll(d, 8)); return size;
    case 1: /* another byte */ data[at] = (uint8_t)roll(d, 256); return size;
    case 2: /* a number, either byte order */
        overwrite(data, size, at, telling_number(d), (size_t)1 << roll(d, 4), roll(d, 2) == 0);
        return size;
    case 3: overwrite_varint(data, size, at, telling_number(d)); return size;
    case 4: /* truncate */ return at;
    case 5: /* remove */ memmove(data + at, data + at + n, size - at - n); return size - n;
    case 6: /* repeat */
        n = NISSL__MIN(n, (size_t)MOST_BYTES - size);
        memmove(data + at + n, data + at, size - at);
        return size + n;
    case 7: /* text */ data[at] = (uint8_t)digits[roll(d, sizeof digits - 1)]; return size;
    default: /* near the start, where headers are */
        data[roll(d, NISSL__MIN(size, (size_t)128))] = (uint8_t)roll(d, 256);
        return size;
    }
}

static long number_from(const char *name, long otherwise)
{
    const char *text = getenv(name);
    return text && *text ? strtol(text, NULL, 10) : otherwise;
}

/* Run number `run`: the seeds as they are, then mutations of them. */
static size_t make_input(const corpus *c, uint64_t seed, long run, uint8_t *data)
{
    dice d = {seed, (uint64_t)run, 0};
    const input *in = &c->inputs[run < (long)c->n ? (uint64_t)run : roll(&d, c->n)];
    size_t size = in->size;
    memcpy(data, in->data, size);
    if (run >= (long)c->n)
        for (uint64_t n = 1 + roll(&d, 4); n > 0; n--)
            size = mutate(&d, c, data, size);
    return size;
}

static void save(const uint8_t *data, size_t size)
{
    const char *path = getenv("FUZZ_SAVE");
    FILE *file = path ? fopen(path, "wb") : NULL;
    if (!file)
        return;
    if (fwrite(data, 1, size, file) != size)
        fprintf(stderr, "fuzz: cannot write %s\n", path);
    fclose(file);
}

int main(int argc, char **argv)
{
    static const int deadly[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGALRM};
    corpus c = {NULL, 0};
    struct rusage usage;
    uint64_t seed = (uint64_t)number_from("FUZZ_SEED", 1);
    long only = number_from("FUZZ_ONLY", -1);
    uint8_t *scratch = malloc(MOST_BYTES);
    int result = 1;
    long n_runs;

    for (int i = 1; i < argc; i++)
        if (!corpus_add(&c, argv[i])) {
            fprintf(stderr, "fuzz: cannot read %s\n", argv[i]);
            goto done;
        }
    if (c.n == 0 || !scratch) {
        fprintf(stderr, "fuzz: no seeds\n");
        goto done;
    }
    if (__sanitizer_set_death_callback)
        __sanitizer_set_death_callback(tell_run);
    else
        for (size_t i = 0; i + 1 < sizeof deadly / sizeof *deadly; i++)
            signal(deadly[i], on_signal);
    signal(SIGALRM, on_signal);

    n_runs = (long)c.n + number_from("FUZZ_RUNS", 20000);
    for (long run = only >= 0 ? only : 0; run < n_runs; run++) {
        size_t size = make_input(&c, seed, run, scratch);
        /* An allocation of just the right size, so that a sanitizer sees a read past its end. */
        uint8_t *exact = malloc(size ? size : 1);
        if (!exact)
            goto done;
        memcpy(exact, scratch, size);
        current_run = (sig_atomic_t)run;
        if (only >= 0)
            save(exact, size);
        alarm(MOST_SECONDS);
        LLVMFuzzerTestOneInput(exact, size);
        alarm(0);
        free(exact);
        if (only >= 0)
            break;
    }
    getrusage(RUSAGE_SELF, &usage);
    if (!__sanitizer_set_death_callback && usage.ru_maxrss > MOST_RESIDENT_KB) {
        fprintf(stderr, "fuzz: %ld KiB resident, more than %ld\n", usage.ru_maxrss,
                MOST_RESIDENT_KB);
        goto done;
    }
    printf("%ld inputs from %zu seeds\n", n_runs, c.n);
    result = 0;
done:
    for (size_t i = 0; i < c.n; i++)
        free(c.inputs[i].data);
    free(c.inputs);
    free(scratch);
    return result;
}
