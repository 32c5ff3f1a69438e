/* A study's numbers and its table as one JSON text. */
#ifndef NISSL__STUDIES_SUMMARY_H
#define NISSL__STUDIES_SUMMARY_H

#include <jansson.h>

#include "nissl/table.h"

/* The members of summary, whose reference is taken, and the table under key. malloc'ed; NULL when
 * out of memory or when summary is NULL. */
char *nissl__summary_json(json_t *summary, const nissl_table *table, const char *key);

#endif
