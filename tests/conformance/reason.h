/* Why a model of the backend tests cannot be run, told from the file alone. */
#ifndef NISSL__CONFORMANCE_REASON_H
#define NISSL__CONFORMANCE_REASON_H

#include "formats/onnx.h"

typedef enum reason {
    REASON_NONE,
    REASON_OPERATOR, /* of the default domain that Nissl has not */
    REASON_DOMAIN,   /* of another domain */
    REASON_STRINGS,  /* strings as inputs, outputs or attributes */
    REASON_SEQUENCE, /* sequence, optional or map values */
    REASON_TYPE,     /* numbers of a type Nissl does not compute with */
    REASON_FORM,     /* a form of an operator, or a shape that depends on data */
    N_REASONS
} reason;

const char *reason_text(reason why);

/* REASON_NONE if nothing in the file speaks against running it; text says what was found. */
reason reason_to_skip(const nissl__onnx_model *model, char *text, size_t size);

/* Whether a value of the file has a type other than those that issue from float32, float64, int32,
 * int64 and bool, and float16 as storage. */
bool reason_foreign_type(const nissl__onnx_model *model);

#endif
