/* A study's numbers and its table as one JSON text. */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "studies/summary.h"

char *nissl__summary_json(json_t *summary, const nissl_table *table, const char *key)
{
    char *text = NULL, *result = NULL;
    size_t size = 0;
    FILE *memory = open_memstream(&text, &size);
    bool written = memory && nissl_table_write_json(table, memory, NULL) == NISSL_OK;
    if (memory && fclose(memory) != 0)
        written = false;
    json_t *rows = written ? json_loads(text, 0, NULL) : NULL;
    if (summary && rows && json_object_set(summary, key, rows) == 0)
        result = json_dumps(summary, JSON_COMPACT);
    json_decref(rows);
    json_decref(summary);
    free(text);
    return result;
}
