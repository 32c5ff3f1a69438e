/* The preprocessing reader on hostile text; what it accepts is written, and the text reads back. */
#include "fuzz.h"
#include "recording/preprocess.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    nissl__preprocess p = {0}, again = {0};
    nissl_error error = {0};
    char *text = NULL;
    if (nissl__preprocess_parse("fuzz", (const char *)data, size, &p, &error) != NISSL_OK)
        return 0;
    if (nissl__preprocess_json(&p, &text, &error) == NISSL_OK &&
        nissl__preprocess_parse("again", text, strlen(text), &again, &error) != NISSL_OK)
        abort();
    nissl__preprocess_free(&again);
    nissl__preprocess_free(&p);
    nissl__free(text);
    return 0;
}
