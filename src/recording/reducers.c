/* The reducers of this build, from the list that Meson generates. */
#include "foundation/foundation.h"
#include "nissl/reducer.h"
#include "recording/reducers/reducer.h"
#include "recording/reducers/reducer_list.h"

#define DECLARE(name) extern const nissl_reducer nissl__reducer_##name;
NISSL__REDUCER_LIST(DECLARE)
#undef DECLARE

static const nissl_reducer *const reducers[] = {
#define ENTRY(name) &nissl__reducer_##name,
    NISSL__REDUCER_LIST(ENTRY)
#undef ENTRY
        NULL};

const nissl_reducer *const *nissl_reducers(void)
{
    return reducers;
}

const nissl_reducer *nissl_reducer_find(const char *name)
{
    for (size_t i = 0; reducers[i]; i++)
        if (strcmp(reducers[i]->name, name) == 0)
            return reducers[i];
    return NULL;
}

nissl_status nissl__emit(nissl_emit_fn emit, void *user, const char *name, const char *unit,
                         const char *description, nissl_type type, int64_t n_units,
                         int64_t n_columns, const void *data, nissl_error *err)
{
    nissl_array array = {.type = type, .rank = n_columns > 0 ? 2 : 1};
    array.shape[0] = n_units;
    array.shape[1] = n_columns;
    memcpy(&array.data, &data, sizeof data); /* borrowed; the receiver only reads */
    return emit(user, name, unit, description, &array, err);
}
