/* What the system says of this process. */
#include <stdio.h>

#include "foundation/foundation.h"

static uint64_t status_bytes(const char *key)
{
    char line[256];
    unsigned long long kib = 0;
    const size_t n = strlen(key);
    FILE *file = fopen("/proc/self/status", "r");
    while (file && fgets(line, sizeof line, file))
        if (strncmp(line, key, n) == 0 && sscanf(line + n, ": %llu", &kib) == 1)
            break;
    if (file)
        fclose(file);
    return (uint64_t)kib * 1024;
}

uint64_t nissl__resident_now(void)
{
    return status_bytes("VmRSS");
}

uint64_t nissl__resident_peak(void)
{
    return status_bytes("VmHWM");
}
