/* "Did you mean": the nearest name by edits, transpositions counted as one. */
#include <ctype.h>
#include <string.h>

#include "options.h"

#define LONGEST 64

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Optimal string alignment distance; SIZE_MAX for words longer than any option's name. */
static size_t edits(const char *a, const char *b)
{
    size_t table[3][LONGEST + 1]; /* rows i - 2, i - 1 and i, in turn */
    size_t n = strlen(a), m = strlen(b);
    if (n > LONGEST || m > LONGEST)
        return SIZE_MAX;
    for (size_t j = 0; j <= m; j++)
        table[0][j] = j;
    for (size_t i = 1; i <= n; i++) {
        size_t *row = table[i % 3];
        const size_t *above = table[(i - 1) % 3], *above2 = table[(i + 1) % 3];
        row[0] = i;
        for (size_t j = 1; j <= m; j++) {
            size_t same = tolower((unsigned char)a[i - 1]) == tolower((unsigned char)b[j - 1]);
            row[j] = smaller(smaller(above[j] + 1, row[j - 1] + 1), above[j - 1] + !same);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                row[j] = smaller(row[j], above2[j - 2] + 1);
        }
    }
    return table[n % 3][m];
}

const char *cli_suggest(const char *word, const char *const *names, size_t n)
{
    const char *best = NULL;
    size_t best_edits = SIZE_MAX;
    for (size_t i = 0; i < n; i++) {
        size_t found = edits(word, names[i]);
        /* the start of a longer name is as good as one typo */
        if (strlen(word) >= 3 && strncmp(word, names[i], strlen(word)) == 0)
            found = smaller(found, 1);
        if (found < best_edits) {
            best_edits = found;
            best = names[i];
        }
    }
    if (!best || best_edits > strlen(word) / 3 + (strlen(word) > 1))
        return NULL;
    return best_edits <= strlen(best) / 2 ? best : NULL;
}
