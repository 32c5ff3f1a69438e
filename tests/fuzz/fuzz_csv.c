/* The CSV reader on hostile bytes; every cell can be read. */
#include "formats/csv.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    nissl__csv csv = {0};
    nissl_error error = {0};
    double value, sum = 0;
    if (nissl__csv_parse("fuzz", data, size, (uint64_t)4 << 20, &csv, &error) == NISSL_OK) {
        for (int64_t row = 0; row < csv.n_rows; row++)
            for (int64_t column = 0; column < csv.n_columns; column++)
                if (nissl__parse_number(nissl__csv_cell(&csv, row, column), &value))
                    sum += value;
        nissl__csv_free(&csv);
    }
    return sum == -1.25e-300; /* uses the sum */
}
