#include <jansson.h>

#include "../check.h"
#include "foundation/foundation.h"

static void the_version_is_json_that_names_everything(void **state)
{
    static const char *const libraries[] = {"onednn", "openblas", "hdf5", "jansson",
                                            "libpng", "libjpeg",  "zlib"};
    char *text = nissl_version_json();
    assert_non_null(text);
    json_t *root = json_loads(text, 0, NULL);
    assert_non_null(root);
    assert_string_equal(json_string_value(json_object_get(root, "version")), nissl_version());
    for (size_t i = 0; i < sizeof libraries / sizeof *libraries; i++)
        assert_true(
            json_is_object(json_object_get(json_object_get(root, "libraries"), libraries[i])));
    json_t *onednn = json_object_get(json_object_get(root, "libraries"), "onednn");
    assert_true(strlen(json_string_value(json_object_get(onednn, "instruction_set"))) > 2);
    assert_true(json_is_array(json_object_get(root, "warnings")));
    assert_true(json_is_false(json_object_get(root, "gpl")));
    json_decref(root);
    free(text);
}

static void a_slow_blas_is_warned_of(void **state)
{
    char *line = nissl__blas_warning("Haswell", 512, "Haswell", "512");
    assert_non_null(strstr(line, "OPENBLAS_CORETYPE=Haswell is set"));
    assert_non_null(strstr(line, "OPENBLAS_L2_SIZE=512"));
    assert_non_null(strstr(line, "256-bit) on a 512-bit CPU"));
    nissl__free(line);
    line = nissl__blas_warning("Zen", 512, NULL, NULL);
    assert_non_null(strstr(line, "Zen"));
    assert_null(strstr(line, "OPENBLAS_CORETYPE"));
    nissl__free(line);
    line = nissl__blas_warning("Cooperlake", 512, "Cooperlake", "512");
    assert_non_null(strstr(line, "OPENBLAS_L2_SIZE=512"));
    nissl__free(line);
    assert_null(nissl__blas_warning("Cooperlake", 512, NULL, NULL));
    assert_null(nissl__blas_warning("Haswell", 256, "Haswell", NULL));
    assert_null(nissl__blas_warning("a core of the future", 512, NULL, ""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_version_is_json_that_names_everything),
        cmocka_unit_test(a_slow_blas_is_warned_of),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
